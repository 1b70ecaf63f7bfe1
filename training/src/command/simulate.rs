//! `simulate`: outcomes in, an outcomes folder with users, interactions and a split out.

use anyhow::{Result, bail};

use super::print;
use super::progress::Bar;
use crate::cli;
use crate::data::outcome::Cost;
use crate::data::simulate::{self, Draw, Users};
use crate::data::split::{Ratio, split};
use crate::data::{outcome, union};

/// Users with the paper's preferences instead of uniform ones.
const NINE: u32 = 9;

/// Writes the folder and says what is in it.
pub fn run(args: &cli::Simulate) -> Result<()> {
    let users = match args.users {
        NINE => Users::Nine,
        count => Users::Uniform(count),
    };
    args.world.check(args.feedback)?;
    users.check(args.world, args.key)?;
    let dataset = match args.outcomes.as_slice() {
        [folder] if args.llm_name.is_empty() => outcome::read(folder, args.cost, &[])?,
        _ if args.cost != Cost::CostLog => {
            bail!("several folders have one scale of costs: expected --cost cost_log, found {}", args.cost.as_str())
        }
        folders => union::read(folders, &args.llm_name)?,
    };
    let split = split(&dataset.queries, dataset.tasks.len(), Ratio::PROTOCOL, args.seed);
    let world = users.world(&dataset, args.world, args.key)?;
    let draw = Draw { seed: args.seed, seen: args.seen, feedback: args.feedback };
    let bar = Bar::count(args.quiet, "users", u64::from(args.users));
    match args.outcomes.as_slice() {
        [folder] if args.llm_name.is_empty() => simulate::copy_outcomes(folder, &args.out)?,
        _ => union::write(&dataset, &args.out)?,
    }
    let interactions = simulate::write(&dataset, &split, &world, draw, &args.out, || bar.step())?;
    drop(bar);
    let (users, out, kind) = (args.users, args.out.display(), args.world.as_str());
    let feedback = args.feedback.as_str();
    print(&format!("{out}: {users} users of world {kind}, {interactions} interactions, {feedback} feedback"))
}
