//! The bytes of one file: pages that copies share until one of them is written.
//!
//! Each file of the simulated disk has two images, what processes see and what is durable, and a fork of the disk
//! doubles them again. Nearly all of their pages are equal, so they are the same: a sync hands page references over,
//! and a fork copies references.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// The page cache's unit in bytes, as on the machines that are simulated.
pub(super) const PAGE_BYTES: u64 = 4096;

type Page = [u8; PAGE_BYTES as usize];

/// A sparse run of bytes.
///
/// **Invariants**: a page that is absent is zeros; the bytes of the last page beyond `len` are zeros; no page begins
/// at or beyond `len`.
#[derive(Debug, Clone, Default)]
pub(super) struct Image {
    pages: BTreeMap<u64, Arc<Page>>,
    len: u64,
}

impl Image {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Fills `buf` from `offset`, as far as there are bytes. Returns how many.
    pub(super) fn read(&self, buf: &mut [u8], offset: u64) -> usize {
        let count = self.len.saturating_sub(offset).min(buf.len() as u64);
        let mut filled = 0;
        for (page, within) in pieces(offset..offset + count) {
            let target = &mut buf[filled..filled + within.len()];
            filled += within.len();
            match self.pages.get(&page) {
                Some(bytes) => target.copy_from_slice(&bytes[within]),
                None => target.fill(0),
            }
        }
        filled
    }

    pub(super) fn write(&mut self, data: &[u8], offset: u64) {
        if data.is_empty() {
            return;
        }
        let end = offset + data.len() as u64;
        let mut taken = 0;
        for (page, within) in pieces(offset..end) {
            let source = &data[taken..taken + within.len()];
            taken += within.len();
            self.page_mut(page)[within].copy_from_slice(source);
        }
        self.len = self.len.max(end);
    }

    pub(super) fn set_len(&mut self, len: u64) {
        if len < self.len {
            self.pages.split_off(&len.div_ceil(PAGE_BYTES));
            if let Some(last) = self.pages.get_mut(&(len / PAGE_BYTES)) {
                Arc::make_mut(last)[(len % PAGE_BYTES) as usize..].fill(0);
            }
        }
        self.len = len;
    }

    /// Takes over the pages that `range` (bytes) touches as they are in `other`.
    pub(super) fn adopt(&mut self, other: &Self, range: Range<u64>) {
        for (page, _) in pieces(range) {
            match other.pages.get(&page) {
                Some(bytes) => self.pages.insert(page, Arc::clone(bytes)),
                None => self.pages.remove(&page),
            };
        }
    }

    /// Takes over all that lies in the page of `start` (bytes) and beyond as it is in `other`.
    pub(super) fn adopt_from(&mut self, other: &Self, start: u64) {
        let first = start / PAGE_BYTES;
        self.pages.split_off(&first);
        self.pages.extend(other.pages.range(first..).map(|(&page, bytes)| (page, Arc::clone(bytes))));
    }

    /// Takes over the length of `other`, once its pages have been taken over.
    pub(super) fn adopt_len(&mut self, other: &Self) {
        self.set_len(other.len);
    }

    pub(super) fn to_vec(&self) -> Vec<u8> {
        let len = usize::try_from(self.len).expect("a file that is read whole fits in memory");
        let mut bytes = vec![0; len];
        self.read(&mut bytes, 0);
        bytes
    }

    fn page_mut(&mut self, page: u64) -> &mut Page {
        Arc::make_mut(self.pages.entry(page).or_insert_with(|| Arc::new([0; PAGE_BYTES as usize])))
    }
}

/// The pages that `range` (bytes) touches, each with the part of it that it touches.
fn pieces(range: Range<u64>) -> impl Iterator<Item = (u64, Range<usize>)> {
    let mut at = range.start;
    std::iter::from_fn(move || {
        if at >= range.end {
            return None;
        }
        let page = at / PAGE_BYTES;
        let end = range.end.min((page + 1) * PAGE_BYTES);
        let within = (at % PAGE_BYTES) as usize..((end - 1) % PAGE_BYTES) as usize + 1;
        at = end;
        Some((page, within))
    })
}
