//! One request as the server sees it: a command's name and arguments, borrowed from the bytes they arrived in.
//!
//! A request is never copied on its way from the socket to the value it changes: the decoder notes where each argument
//! lies ([`Span`]), and a [`Request`] is that list over the buffer.

/// Where one argument lies in its buffer, in bytes.
///
/// Offsets are 32 bits wide: [`Limits::max_request_bytes`](super::Limits) keeps a request below 4 GiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first byte.
    pub start: u32,
    /// How many bytes.
    pub len: u32,
}

/// A complete request.
///
/// **Invariants**: there is at least one argument (the command's name), and every span lies within the buffer.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    buf: &'a [u8],
    spans: &'a [Span],
    encoded: Option<&'a [u8]>,
}

impl<'a> Request<'a> {
    /// A request whose arguments lie at `spans` of `buf`. `encoded` is the whole request as a RESP array, when it arrived
    /// as one (an inline command did not).
    ///
    /// # Panics
    ///
    /// When `spans` is empty: an empty request is never executed.
    pub fn new(buf: &'a [u8], spans: &'a [Span], encoded: Option<&'a [u8]>) -> Self {
        assert!(!spans.is_empty(), "a request has at least a name");
        Self { buf, spans, encoded }
    }

    /// The command's name as the client wrote it, in any case.
    pub fn name(&self) -> &'a [u8] {
        self.arg(0)
    }

    /// How many arguments there are, the name included.
    #[allow(clippy::len_without_is_empty, reason = "a request is never empty")]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// The `index`-th argument; the name is the 0th.
    ///
    /// # Panics
    ///
    /// When there is none. The command table has checked the arity before a command looks.
    #[inline]
    pub fn arg(&self, index: usize) -> &'a [u8] {
        let span = self.spans[index];
        &self.buf[span.start as usize..][..span.len as usize]
    }

    /// The `index`-th argument, if there is one.
    pub fn get(&self, index: usize) -> Option<&'a [u8]> {
        (index < self.spans.len()).then(|| self.arg(index))
    }

    /// The arguments from the `from`-th on; none when there are fewer.
    pub fn args(&self, from: usize) -> impl DoubleEndedIterator<Item = &'a [u8]> + ExactSizeIterator + Clone + 'a {
        let buf = self.buf;
        self.spans[from.min(self.spans.len())..]
            .iter()
            .map(move |span| &buf[span.start as usize..][..span.len as usize])
    }

    /// Whether the `index`-th argument is there and equals `word`, whatever its case.
    pub fn is(&self, index: usize, word: &str) -> bool {
        self.get(index).is_some_and(|arg| arg.eq_ignore_ascii_case(word.as_bytes()))
    }

    /// Appends the request as a RESP array of bulk strings to `out`: copied where it arrived as one, encoded otherwise.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        match self.encoded {
            Some(encoded) => out.extend_from_slice(encoded),
            None => encode_args(out, self.args(0)),
        }
    }

    /// A copy that owns its bytes.
    pub fn to_owned(&self) -> OwnedRequest {
        OwnedRequest::new(self.args(0))
    }
}

/// A request that owns its bytes: one that waits (in a transaction, for a key) or that the server itself issues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedRequest {
    buf: Vec<u8>,
    spans: Vec<Span>,
}

impl OwnedRequest {
    /// A request of these arguments, the name first.
    ///
    /// # Panics
    ///
    /// When there is none, or when they exceed 4 GiB together.
    pub fn new<I, A>(args: I) -> Self
    where
        I: IntoIterator<Item = A>,
        A: AsRef<[u8]>,
    {
        let mut buf = Vec::new();
        let mut spans = Vec::new();
        for arg in args {
            let arg = arg.as_ref();
            let start = u32::try_from(buf.len()).expect("a request is shorter than 4 GiB");
            let len = u32::try_from(arg.len()).expect("an argument is shorter than 4 GiB");
            buf.extend_from_slice(arg);
            spans.push(Span { start, len });
        }
        assert!(!spans.is_empty(), "a request has at least a name");
        Self { buf, spans }
    }

    /// The request, borrowed.
    pub fn as_request(&self) -> Request<'_> {
        Request::new(&self.buf, &self.spans, None)
    }

    /// How many bytes its arguments take.
    pub fn len_bytes(&self) -> usize {
        self.buf.len()
    }
}

/// Appends `args` to `out` as a RESP array of bulk strings: the form of every request and of every record in the log.
pub fn encode_args<'a, I>(out: &mut Vec<u8>, args: I)
where
    I: IntoIterator<Item = &'a [u8]>,
    I::IntoIter: ExactSizeIterator,
{
    let args = args.into_iter();
    let mut digits = itoa::Buffer::new();
    out.push(b'*');
    out.extend_from_slice(digits.format(args.len()).as_bytes());
    out.extend_from_slice(b"\r\n");
    for arg in args {
        out.push(b'$');
        out.extend_from_slice(digits.format(arg.len()).as_bytes());
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
}
