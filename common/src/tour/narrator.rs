//! The narrator: the voices of a tour, laid out for the width there is and coloured only on a terminal.

use std::io::{self, BufRead, BufReader, Write};

use anstyle::{AnsiColor, Style};
use textwrap::{WordSeparator, WordSplitter};

use super::TourArgs;
use super::quiz::{self, Answer, Guess, MAX_OPTIONS, Question, Said, Score};
use crate::cli::{self, Look, Table, printable};

/// How often a question is asked again after something that is no answer: once more than a slip of the finger needs.
const ATTEMPTS: usize = 3;

/// The most bytes of a line that are read as an answer.
const MAX_ANSWER_BYTES: u64 = 1024;

/// What stands before the lines of preformatted text.
const INDENT: &str = "    ";

/// The column at which measured values begin.
const MEASURED_COLUMN: usize = 44;

/// Writes a tour's text and asks its questions.
///
/// Writing does not fail at once: the first failure is kept, later text is dropped, and the tour reports it after the
/// scene. So a scene's code is its story, without an error path behind every sentence.
///
/// **Invariant**: after the input has ended, nothing waits for it.
pub struct Narrator {
    output: Box<dyn Write + Send>,
    input: Box<dyn BufRead + Send>,
    look: Look,
    step: bool,
    quiz: bool,
    score: Score,
    failure: Option<io::Error>,
    at_end_of_input: bool,
}

impl Narrator {
    /// A narrator on standard output and input.
    pub fn stdio(args: &TourArgs) -> Self {
        Self::new(args, Look::stdout(), io::stdout(), BufReader::new(io::stdin()))
    }

    /// A narrator that writes to `output` and reads answers from `input`.
    pub fn new(
        args: &TourArgs,
        look: Look,
        output: impl Write + Send + 'static,
        input: impl BufRead + Send + 'static,
    ) -> Self {
        Self {
            output: Box::new(output),
            input: Box::new(input),
            look,
            step: args.step,
            quiz: args.quiz,
            score: Score::default(),
            failure: None,
            at_end_of_input: false,
        }
    }

    /// What happens: a paragraph.
    pub fn says(&mut self, text: &str) {
        let wrapped = self.wrapped(text, "", "");
        self.write(&format!("{wrapped}\n\n"));
    }

    /// What the book says about it, in our words: `section` as in `ch. 1, "Describing Performance"`.
    pub fn book(&mut self, section: &str, text: &str) {
        let bar = if self.look.terminal { "  ┃ " } else { "  | " };
        let wrapped = self.wrapped(text, bar, bar);
        let head = self.wrapped(&format!("DDIA {section}"), bar, bar);
        let head = self.look.paint(AnsiColor::Cyan.on_default(), &head);
        self.write(&format!("{head}\n{wrapped}\n\n"));
    }

    /// Where to look: a file, a command to try.
    pub fn look(&mut self, text: &str) {
        let wrapped = self.wrapped(text, "  -> ", "     ");
        let wrapped = self.look.paint(AnsiColor::Green.on_default(), &wrapped);
        self.write(&format!("{wrapped}\n\n"));
    }

    /// Preformatted text, indented and otherwise as it is: only a line that does not fit goes on in the next one.
    pub fn show(&mut self, text: &str) {
        let shown: String = printable(text).lines().map(|line| self.folded(line)).collect();
        self.write(&format!("{shown}\n"));
    }

    /// A table, fitted to the width.
    pub fn table(&mut self, table: &Table) {
        let look = Look { width: self.look.width.saturating_sub(INDENT.len()), ..self.look };
        self.show(&table.render(look));
    }

    /// A chart: made for [`chart_width`](Self::chart_width) columns.
    pub fn chart(&mut self, chart: &str) {
        self.show(chart);
    }

    /// How wide a chart may be, in columns.
    pub fn chart_width(&self) -> usize {
        self.look.width.saturating_sub(INDENT.len())
    }

    /// One number that was measured.
    pub fn measured(&mut self, label: &str, value: &str) {
        let (label, value) = (printable(label), printable(value));
        let column = MEASURED_COLUMN.min(self.look.width / 2);
        let dots = column.saturating_sub(textwrap::core::display_width(&label)).max(3);
        let line = format!("  {label} {} ", ".".repeat(dots));
        let fits = textwrap::core::display_width(&line) + textwrap::core::display_width(&value) <= self.look.width;
        let (line, value) = match fits {
            true => (line, value),
            false => (self.wrapped(&label, "  ", "  ") + "\n", self.wrapped(&value, INDENT, INDENT)),
        };
        let value = self.look.paint(Style::new().bold(), &value);
        self.write(&format!("{line}{value}\n"));
    }

    /// A blank line: after a run of [`measured`](Self::measured).
    pub fn gap(&mut self) {
        self.write("\n");
    }

    /// Asks what the reader expects, under `--quiz` only. An empty line is no guess.
    ///
    /// # Panics
    ///
    /// With no options, or more than there are letters.
    pub fn quiz(&mut self, question: &str, kind: Question<'_>) -> Guess {
        if let Question::Options(options) = kind {
            assert!((1..=MAX_OPTIONS).contains(&options.len()), "a question has 1 to {MAX_OPTIONS} options");
        }
        if !self.quiz {
            return Guess { said: Said::NotAsked };
        }
        let asked = self.wrapped(question, "  ? ", "    ");
        let asked = self.look.paint(AnsiColor::Yellow.on_default().bold(), &asked);
        self.write(&format!("{asked}\n"));
        let hint = match kind {
            Question::Options(options) => {
                for (index, option) in options.iter().enumerate() {
                    let option = self.wrapped(option, &format!("    {}) ", quiz::letter(index)), "       ");
                    self.write(&format!("{option}\n"));
                }
                "a letter".to_owned()
            }
            Question::Number { unit: "" } => "a number".to_owned(),
            Question::Number { unit } => format!("a number of {unit}"),
        };
        for _ in 0..ATTEMPTS {
            self.write(&format!("  your guess ({hint}, or nothing): "));
            let Some(line) = self.read_line().filter(|line| !line.trim().is_empty()) else { break };
            if let Some(said) = quiz::parse(&line, kind) {
                self.write("\n");
                return Guess { said };
            }
            self.write(&format!("  {:?} is not {hint}.\n", printable(line.trim())));
        }
        self.write("\n");
        Guess { said: Said::Nothing }
    }

    /// Compares the guess with the truth, if there was one.
    pub fn reveal(&mut self, guess: &Guess, answer: Answer) {
        let Some(verdict) = guess.compare(answer) else { return };
        self.score.asked += 1;
        self.score.right += usize::from(verdict.right);
        let colour = if verdict.right { AnsiColor::Green } else { AnsiColor::Yellow };
        let wrapped = self.wrapped(&verdict.text, "  = ", "    ");
        let wrapped = self.look.paint(colour.on_default(), &wrapped);
        self.write(&format!("{wrapped}\n\n"));
    }

    /// The chapter's title.
    pub(super) fn title(&mut self, title: &str) {
        let title = self.wrapped(title, "", "");
        let title = self.look.paint(Style::new().bold(), &title);
        self.write(&format!("{title}\n\n"));
    }

    /// The heading of a scene.
    pub(super) fn heading(&mut self, number: usize, title: &str, section: &str) {
        self.rule(&format!("{number}. {title}"));
        let section = self.wrapped(&format!("DDIA, \"{section}\""), "", "");
        let section = self.look.paint(AnsiColor::Cyan.on_default(), &section);
        self.write(&format!("{section}\n\n"));
    }

    /// A line across the output with a text in it; a text that is too long for that goes on beneath.
    pub(super) fn rule(&mut self, text: &str) {
        let dash = if self.look.terminal { "─" } else { "-" };
        let mut line = self.wrapped(text, &format!("{} ", dash.repeat(2)), "   ");
        if let Some(rest) = self.look.width.checked_sub(textwrap::core::display_width(&line) + 1)
            && !line.contains('\n')
        {
            line = format!("{line} {}", dash.repeat(rest));
        }
        let line = self.look.paint(Style::new().bold(), &line);
        self.write(&format!("{line}\n"));
    }

    /// Waits for Enter, under `--step` only. The end of input goes on.
    pub(super) fn pause(&mut self) {
        if self.step && !self.at_end_of_input {
            self.write("(Enter for the next scene) ");
            self.read_line();
            self.write("\n");
        }
    }

    /// How the guesses went so far.
    pub(super) fn score(&self) -> Score {
        self.score
    }

    /// Sends what is buffered, and reports the first failure since the last call.
    pub(super) fn flush(&mut self) -> Result<(), cli::Error> {
        match self.failure.take() {
            Some(failure) => Err(cli::Error::Output(failure)),
            None => self.output.flush().map_err(cli::Error::Output),
        }
    }

    fn write(&mut self, text: &str) {
        if self.failure.is_none()
            && let Err(error) = self.output.write_all(text.as_bytes()).and_then(|()| self.output.flush())
        {
            self.failure = Some(error);
        }
    }

    /// A line of input. `None` at its end, and when it cannot be read: a tour does not fail for want of an answer.
    fn read_line(&mut self) -> Option<String> {
        if self.at_end_of_input {
            return None;
        }
        let mut line = Vec::new();
        let read = io::Read::take(&mut self.input, MAX_ANSWER_BYTES).read_until(b'\n', &mut line);
        if !matches!(read, Ok(1..)) {
            self.at_end_of_input = true;
            return None;
        }
        Some(String::from_utf8_lossy(&line).into_owned())
    }

    /// A preformatted line, indented; in several where it does not fit, those that follow deeper than it.
    fn folded(&self, line: &str) -> String {
        let room = self.look.width.saturating_sub(INDENT.len()).max(1);
        if textwrap::core::display_width(line) <= room {
            return format!("{INDENT}{line}\n");
        }
        let blanks = line.len() - line.trim_start_matches(' ').len();
        let deeper = format!("{INDENT}{}", " ".repeat((blanks + 2).min(room / 2)));
        let options = textwrap::Options::new(self.look.width).initial_indent(INDENT).subsequent_indent(&deeper);
        let options = options.word_separator(WordSeparator::AsciiSpace).word_splitter(WordSplitter::NoHyphenation);
        textwrap::fill(line, options) + "\n"
    }

    /// The text in lines that fit, each after its indent. Line breaks and runs of blanks in the source are no more than
    /// blanks: narration is written in indented code.
    fn wrapped(&self, text: &str, first: &str, others: &str) -> String {
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let options = textwrap::Options::new(self.look.width).initial_indent(first).subsequent_indent(others);
        // A command is broken at its blanks alone: half of `--some-flag` is no flag.
        let options = options.word_separator(WordSeparator::AsciiSpace).word_splitter(WordSplitter::NoHyphenation);
        textwrap::fill(&printable(&words), options)
    }
}
