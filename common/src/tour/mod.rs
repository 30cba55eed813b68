//! The tour: a narrated run of a chapter's system, in scenes that follow the book's sections.
//!
//! A scene does something real (starts a server, kills it, measures it) and says three things about it, each with its own
//! voice: what happens ([`Narrator::says`]), what the book says about it ([`Narrator::book`]) and where to look for
//! yourself ([`Narrator::look`]). Scenes are independent: `--scene 3` runs the third alone, so none may lean on another.
//!
//! A reader learns more from a number that they have guessed before. Under `--quiz` a scene asks first
//! ([`Narrator::quiz`]) and compares after it has measured ([`Narrator::reveal`]).
//!
//! A scene is a plain closure. One that needs `async` brings its runtime in the context `C` and blocks on it: the narrator
//! reads from a terminal, which would block a runtime anyway.

mod narrator;
mod quiz;

use std::error::Error as StdError;
use std::time::{Duration, Instant};

pub use narrator::Narrator;
pub use quiz::{Answer, Guess, Question, Score};

use crate::cli::{self, Shutdown, Table, human};

/// The flags of `tour`, the same in every chapter. Flatten it into the command line.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct TourArgs {
    /// List the scenes and the sections of the book that they follow
    #[arg(long)]
    pub list: bool,
    /// Run one scene alone, by its number or its name
    #[arg(long, value_name = "N")]
    pub scene: Option<String>,
    /// Wait for Enter between scenes
    #[arg(long)]
    pub step: bool,
    /// Ask what you expect before it is measured
    #[arg(long)]
    pub quiz: bool,
}

/// What a scene does.
pub type Play<C, E> = Box<dyn FnMut(&mut Narrator, &mut C) -> Result<(), E>>;

/// One scene of a tour.
pub struct Scene<C, E> {
    name: String,
    title: String,
    section: String,
    play: Play<C, E>,
}

/// A chapter's scenes in order, over a context `C` that they share (a runtime, a temporary directory).
pub struct Tour<C, E> {
    title: String,
    scenes: Vec<Scene<C, E>>,
    shutdown: Shutdown,
}

/// Why a tour did not reach its end.
#[derive(Debug, thiserror::Error)]
pub enum TourError {
    /// `--scene` names none.
    #[error("there is no scene {asked:?}; --list shows the {count} there are")]
    NoSuchScene {
        /// What was asked for.
        asked: String,
        /// How many there are.
        count: usize,
    },
    /// The narration cannot be written.
    #[error(transparent)]
    Output(#[from] cli::Error),
    /// A scene failed.
    #[error("scene {number}, {title:?}, failed")]
    Scene {
        /// The scene's number, from one.
        number: usize,
        /// Its title.
        title: String,
        /// What went wrong in it.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl TourError {
    /// The exit code that belongs to this error.
    pub fn exit(&self) -> cli::Exit {
        match self {
            Self::NoSuchScene { .. } => cli::Exit::Usage,
            Self::Output(error) => error.exit(),
            Self::Scene { .. } => cli::Exit::Failed,
        }
    }
}

/// What a tour did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The scenes that ran, by number from one, and the time that each took.
    pub scenes: Vec<(usize, Duration)>,
    /// How the reader's guesses went.
    pub score: Score,
    /// Whether the tour ended early because shutdown was requested.
    pub interrupted: bool,
}

impl<C, E> Scene<C, E> {
    /// A scene. `name` is a word for the command line, `section` a section's title in the book.
    pub fn new(
        name: impl Into<String>,
        title: impl Into<String>,
        section: impl Into<String>,
        play: impl FnMut(&mut Narrator, &mut C) -> Result<(), E> + 'static,
    ) -> Self {
        Self { name: name.into(), title: title.into(), section: section.into(), play: Box::new(play) }
    }

    /// The word by which `--scene` knows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The title of the book's section that it follows.
    pub fn section(&self) -> &str {
        &self.section
    }
}

impl<C, E> Tour<C, E>
where
    E: Into<Box<dyn StdError + Send + Sync>>,
{
    /// A tour without scenes.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), scenes: Vec::new(), shutdown: Shutdown::never() }
    }

    /// Adds a scene at the end.
    ///
    /// # Panics
    ///
    /// When there is one of that name already, or the name is a number: `--scene` could not tell which is meant.
    #[must_use]
    pub fn scene(mut self, scene: Scene<C, E>) -> Self {
        assert!(scene.name.parse::<usize>().is_err(), "scene name {:?} must not be a number", scene.name);
        assert!(self.scenes.iter().all(|other| other.name != scene.name), "two scenes are called {:?}", scene.name);
        self.scenes.push(scene);
        self
    }

    /// Ends the tour after the running scene once shutdown is requested.
    #[must_use]
    pub fn until(mut self, shutdown: Shutdown) -> Self {
        self.shutdown = shutdown;
        self
    }

    /// The scenes, in order.
    pub fn scenes(&self) -> &[Scene<C, E>] {
        &self.scenes
    }

    /// Lists the scenes, or runs the chosen one, or all of them.
    ///
    /// # Errors
    ///
    /// There is no such scene, the narration cannot be written, or a scene failed: the first failure ends the tour.
    pub fn run(mut self, args: &TourArgs, narrator: &mut Narrator, context: &mut C) -> Result<Report, TourError> {
        let mut report = Report { scenes: Vec::new(), score: Score::default(), interrupted: false };
        if args.list {
            narrator.title(&self.title);
            narrator.table(&self.contents());
            narrator.flush()?;
            return Ok(report);
        }
        let chosen = self.chosen(args.scene.as_deref())?;
        narrator.title(&self.title);
        for number in chosen.clone() {
            if self.shutdown.is_requested() {
                report.interrupted = true;
                break;
            }
            if number > *chosen.start() {
                narrator.pause();
            }
            let scene = &mut self.scenes[number - 1];
            narrator.heading(number, &scene.title, &scene.section);
            let began = Instant::now();
            (scene.play)(narrator, context).map_err(|error| TourError::Scene {
                number,
                title: scene.title.clone(),
                source: error.into(),
            })?;
            report.scenes.push((number, began.elapsed()));
            narrator.flush()?;
        }
        report.score = narrator.score();
        self.summarise(&report, narrator);
        narrator.flush()?;
        Ok(report)
    }

    /// The numbers, from one, of the scenes that `--scene` asks for.
    fn chosen(&self, asked: Option<&str>) -> Result<std::ops::RangeInclusive<usize>, TourError> {
        let Some(asked) = asked else { return Ok(1..=self.scenes.len()) };
        let by_name = self.scenes.iter().position(|scene| scene.name == asked).map(|index| index + 1);
        let by_number = asked.parse().ok().filter(|number| (1..=self.scenes.len()).contains(number));
        let number = by_name
            .or(by_number)
            .ok_or_else(|| TourError::NoSuchScene { asked: asked.to_owned(), count: self.scenes.len() })?;
        Ok(number..=number)
    }

    fn contents(&self) -> Table {
        let mut table = Table::new(["", "scene", "name", "section of the book"]);
        for (index, scene) in self.scenes.iter().enumerate() {
            table.row([(index + 1).to_string(), scene.title.clone(), scene.name.clone(), scene.section.clone()]);
        }
        table
    }

    /// The end of a tour of several scenes: what ran, how long it took, how the guesses went.
    fn summarise(&self, report: &Report, narrator: &mut Narrator) {
        if report.scenes.len() > 1 {
            let mut table = Table::new(["", "scene", "section of the book", "took"]);
            for &(number, took) in &report.scenes {
                let scene = &self.scenes[number - 1];
                table.row([number.to_string(), scene.title.clone(), scene.section.clone(), human::duration(took)]);
            }
            let total = report.scenes.iter().map(|scene| scene.1).sum();
            narrator.rule(&format!("The end, after {}", human::duration(total)));
            narrator.gap();
            narrator.table(&table);
        }
        if report.interrupted {
            narrator.says("Ended early, as you asked.");
        }
        if report.score.asked > 0 {
            narrator.measured("your guesses", &format!("{} of {} right", report.score.right, report.score.asked));
        }
    }
}
