//! Clients of the register, and what must hold of what they see.

use std::time::Duration;

use common::engine::{Moment, NodeId, Random, RequestId};
use common::sim::{
    Checker, Client, ClientEffects, ClientEvent, Marks, Options, Profile, Scenario, Schedule, Setup, Violation, World,
};
use rand::{RngExt, SeedableRng};

use crate::register::{Bug, Register, Registers, Request, Tag, Versioned};

const TIMEOUT: Duration = Duration::from_millis(500);

/// How long all is well at the end of a run,
const SETTLE: Duration = Duration::from_secs(4);

/// and within what every client has been answered by then: also one whose messages got lost several times.
const PATIENCE: Duration = Duration::from_secs(3);

/// An operation of a client, that has ended or not.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    pub(crate) asked: Request,
    pub(crate) called: Moment,
    pub(crate) returned: Option<(Moment, Versioned)>,
}

pub(crate) struct User {
    random: Random,
    nodes: u64,
    waiting: Option<RequestId>,
    generation: u64,
    pub(crate) history: Vec<Operation>,
}

impl User {
    pub(crate) fn new(nodes: u64, seed: u64) -> Self {
        Self { random: Random::seed_from_u64(seed), nodes, waiting: None, generation: 0, history: Vec::new() }
    }

    fn ask(&mut self, now: Moment, effects: &mut ClientEffects<Register>) {
        let asked = if self.random.random() { Request::Read } else { Request::Write(self.random.random()) };
        self.history.push(Operation { asked, called: now, returned: None });
        self.waiting = Some(effects.request(NodeId(self.random.random_range(1..=self.nodes)), asked));
        self.generation += 1;
        effects.timer(self.generation, TIMEOUT);
    }
}

impl Client<Register> for User {
    fn handle(&mut self, now: Moment, event: ClientEvent<Register>, effects: &mut ClientEffects<Register>) {
        match event {
            ClientEvent::Start => self.ask(now, effects),
            ClientEvent::Reply { id, reply, .. } if self.waiting == Some(id) => {
                self.history.last_mut().expect("something was asked").returned = Some((now, reply));
                self.waiting = None;
                self.generation += 1;
                effects.timer(self.generation, Duration::from_millis(self.random.random_range(1..40)));
            }
            ClientEvent::Timer(generation) if generation == self.generation => self.ask(now, effects),
            ClientEvent::Reply { .. } | ClientEvent::Timer(_) => {}
        }
    }
}

/// Each answer comes with its tag, so that there is only one order in which the operations can have happened: this one must
/// agree with what was before what.
pub(crate) struct TagsAgreeWithTime;

impl Checker<Registers, User> for TagsAgreeWithTime {
    fn at_end(&mut self, world: &World<Registers, User>, _: &mut Marks) -> Result<(), Violation> {
        let operations = world.clients().iter().flat_map(|client| &client.history);
        let mut ended: Vec<(Moment, Moment, Tag, Request)> = operations
            .filter_map(|operation| {
                let (returned, answer) = operation.returned?;
                Some((operation.called, returned, answer.tag, operation.asked))
            })
            .collect();
        ended.sort_by_key(|(called, ..)| *called);
        let mut returns: Vec<(Moment, Tag)> = ended.iter().map(|(_, returned, tag, _)| (*returned, *tag)).collect();
        returns.sort();
        let (mut newest, mut next) = (Tag::default(), 0);
        for (called, returned, tag, asked) in ended {
            while let Some((_, before)) = returns.get(next).filter(|(returned, _)| *returned < called) {
                newest = newest.max(*before);
                next += 1;
            }
            if tag < newest || (tag == newest && asked != Request::Read) {
                let seen = format!("{asked:?} called at {called} was answered {tag:?}, after {newest:?} had been");
                return Err(Violation::new("an operation sees all that ended before it began", seen).at(returned));
            }
        }
        Ok(())
    }
}

/// The same tag is the same value, everywhere.
pub(crate) struct OneValueForATag;

impl Checker<Registers, User> for OneValueForATag {
    fn after_event(&mut self, world: &World<Registers, User>, marks: &mut Marks) -> Result<(), Violation> {
        let Some(acted) = world.acted().and_then(|node| world.engine(node)) else { return Ok(()) };
        for (node, other) in world.engines() {
            if acted.newest.tag == other.newest.tag && acted.newest.value != other.newest.value {
                let seen = format!("{node} has {:?} and another one {:?}", other.newest, acted.newest);
                return Err(Violation::new("a tag stands for one value", seen));
            }
        }
        if acted.is_disk_full {
            marks.add("something happened on a node with a full disk");
        }
        Ok(())
    }
}

/// Once all is well, clients are answered again.
pub(crate) struct Recovers;

impl Checker<Registers, User> for Recovers {
    fn at_end(&mut self, world: &World<Registers, User>, _: &mut Marks) -> Result<(), Violation> {
        let lately = |client: &User| {
            let mut returns = client.history.iter().filter_map(|operation| operation.returned);
            returns.next_back().is_some_and(|(at, _)| world.now().since(at) < PATIENCE)
        };
        if world.clients().iter().all(lately) {
            return Ok(());
        }
        Err(Violation::new("the system recovers", "a client was not answered for so long"))
    }
}

/// A register under the faults of a profile, as they and the machines vary from seed to seed.
pub(crate) struct Scene {
    pub(crate) bug: Bug,
    pub(crate) profile: Profile,
    pub(crate) options: Options,
}

impl Scene {
    pub(crate) fn of(bug: Bug, profile: Profile) -> Self {
        Self { bug, profile, options: Options::default() }
    }
}

impl Scenario for Scene {
    type Boot = Registers;
    type Client = User;

    fn set_up(&self, random: &mut Random) -> Setup<Registers, User> {
        let nodes = self.options.nodes;
        let (options, profile) = (self.options.vary(random), self.profile.vary(random));
        Setup {
            boot: Registers { nodes, bug: self.bug },
            clients: (0..3).map(|_| User::new(nodes, random.random())).collect(),
            checkers: vec![Box::new(TagsAgreeWithTime), Box::new(OneValueForATag), Box::new(Recovers)],
            options,
            profile,
            besides: Schedule::default(),
            duration: Duration::from_secs(10),
            settle: SETTLE,
        }
    }
}
