//! The simulated world, by a replicated register that is right, and by wrong ones that must be found out; and by a node that
//! does nothing but look around, which shows that each fault happens when it is asked for, and does not when it is not.

#[path = "sim/contract.rs"]
mod contract;
#[path = "sim/crashes.rs"]
mod crashes;
#[path = "sim/faults.rs"]
mod faults;
#[path = "sim/probe.rs"]
mod probe;
#[path = "sim/register.rs"]
mod register;
#[path = "sim/schedules.rs"]
mod schedules;
#[path = "sim/seeds.rs"]
mod seeds;
#[path = "sim/speed.rs"]
mod speed;
#[path = "sim/storage.rs"]
mod storage;
#[path = "sim/toys.rs"]
mod toys;
#[path = "sim/workload.rs"]
mod workload;
