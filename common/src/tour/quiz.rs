//! Guesses: what a reader expects before a scene measures it, and how near they were.
//!
//! Intuition about performance is off by factors, not by percents, so a number counts as right within a factor of two
//! (DDIA ch. 1, "Describing Load": the parameters that matter differ by orders of magnitude).

use std::fmt;

/// How far a guessed number may be off and count as right: a factor.
const NEAR: f64 = 2.0;

/// The most options a question can have: they are lettered.
pub(super) const MAX_OPTIONS: usize = 26;

/// What kind of answer a question wants.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Question<'a> {
    /// One of these.
    Options(&'a [&'a str]),
    /// A number of this unit.
    Number {
        /// The unit, as it is written after a number; may be empty.
        unit: &'a str,
    },
}

/// The true answer, once it is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Answer {
    /// The option with this index.
    Option(usize),
    /// This number, in the question's unit.
    Number(f64),
}

/// What the reader expects. Made by [`Narrator::quiz`](super::Narrator::quiz), spent by
/// [`Narrator::reveal`](super::Narrator::reveal).
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a question that is asked is answered: reveal it"]
pub struct Guess {
    pub(super) said: Said,
}

/// What became of a question.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Said {
    /// Nobody was asked: no `--quiz`.
    NotAsked,
    /// The reader did not want to guess.
    Nothing,
    /// The index of an option, and what the options are.
    Option(usize, Vec<String>),
    /// A number, and its unit.
    Number(f64, String),
}

/// How the guesses went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Score {
    /// How many questions were answered by the reader.
    pub asked: usize,
    /// How many of them rightly.
    pub right: usize,
}

/// A guess beside the truth.
pub(super) struct Verdict {
    pub(super) right: bool,
    pub(super) text: String,
}

impl Guess {
    /// Whether the reader was asked and answered.
    pub fn is_some(&self) -> bool {
        matches!(self.said, Said::Option(..) | Said::Number(..))
    }

    /// Compares with the truth; nothing to compare where nothing was guessed.
    ///
    /// # Panics
    ///
    /// When the answer is not of the question's kind.
    pub(super) fn compare(&self, answer: Answer) -> Option<Verdict> {
        match (&self.said, answer) {
            (Said::NotAsked | Said::Nothing, _) => None,
            (Said::Option(guess, options), Answer::Option(truth)) => {
                let right = *guess == truth;
                let text = if right {
                    format!("You expected {:?}, and so it is.", options[*guess])
                } else {
                    format!("You expected {:?}; it is {:?}.", options[*guess], options[truth])
                };
                Some(Verdict { right, text })
            }
            (Said::Number(guess, unit), Answer::Number(truth)) => Some(compare_numbers(*guess, truth, unit)),
            (said, answer) => panic!("the answer {answer:?} is not of the kind that was asked for: {said:?}"),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Option(index) => write!(f, "{}", letter(*index)),
            Self::Number(number) => write!(f, "{number}"),
        }
    }
}

/// Reads an answer as a reader types it: an option's letter or its text, a number with or without the unit. `None`: it is
/// not an answer to this question.
pub(super) fn parse(line: &str, question: Question<'_>) -> Option<Said> {
    let line = line.trim();
    match question {
        Question::Options(options) => {
            let index = options.iter().enumerate().position(|(index, option)| {
                line.eq_ignore_ascii_case(option) || line.eq_ignore_ascii_case(&letter(index).to_string())
            })?;
            Some(Said::Option(index, options.iter().map(|&option| option.to_owned()).collect()))
        }
        Question::Number { unit } => {
            let number = line.strip_suffix(unit).unwrap_or(line).trim().replace(',', "");
            let number = number.parse().ok().filter(|number: &f64| number.is_finite())?;
            Some(Said::Number(number, unit.to_owned()))
        }
    }
}

/// The letter of an option: `a` is the first.
pub(super) fn letter(index: usize) -> char {
    char::from(b'a' + u8::try_from(index).expect("a question has at most 26 options"))
}

fn compare_numbers(guess: f64, truth: f64, unit: &str) -> Verdict {
    let with_unit = |number: f64| {
        let number = format!("{number:.2}");
        let number = number.trim_end_matches('0').trim_end_matches('.');
        if unit.is_empty() { number.to_owned() } else { format!("{number} {unit}") }
    };
    let (guessed, measured) = (with_unit(guess), with_unit(truth));
    if guess == truth {
        return Verdict { right: true, text: format!("You expected {guessed}: exactly so.") };
    }
    if guess <= 0.0 || truth <= 0.0 {
        return Verdict { right: false, text: format!("You expected {guessed}; it is {measured}.") };
    }
    let factor = if truth > guess { truth / guess } else { guess / truth };
    let side = if truth > guess { "low" } else { "high" };
    let right = factor <= NEAR;
    let text = if right {
        format!("You expected {guessed}, it is {measured}: a good guess.")
    } else {
        format!("You expected {guessed}; it is {measured}: {factor:.0} times too {side}.")
    };
    Verdict { right, text }
}
