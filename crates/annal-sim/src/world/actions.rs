//! The actions of a life, and how often each of them comes.

use annal::Store;
use annal::store::Next;

use super::World;
use crate::stock::Load;

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the method that it calls")]
pub enum Action {
    SendNext(usize),
    SendUnnumbered,
    Retry(usize),
    SendFenced(usize),
    SendGap(usize),
    StepCommitter,
    StepMaintenance,
    StepCompactor,
    StepScrub,
    Compact,
    Pause(bool),
    WorkOff,
    AdvanceMs(u64),
    Seal,
    Look,
    Hold,
    LookAtHeld,
    Drain,
}

impl World<'_> {
    /// A random action.
    pub fn any_action(&mut self) -> Action {
        match self.settings.load {
            Load::Few => self.any_of_few(),
            Load::Many => self.any_of_many(),
            Load::Long => self.any_of_long(),
        }
    }

    /// Mostly appends and commits.
    fn any_of_few(&mut self) -> Action {
        let client = self.random.index(self.clients.len());
        match self.random.below(1_000) {
            0..350 => Action::SendNext(client),
            350..430 => Action::SendUnnumbered,
            430..480 => Action::Retry(client),
            480..490 => Action::SendFenced(client),
            490..500 => Action::SendGap(client),
            500..760 => Action::StepCommitter,
            760..820 => Action::StepMaintenance,
            820..840 => Action::StepCompactor,
            840..845 => Action::Compact,
            845..850 => Action::StepScrub,
            850..900 => Action::AdvanceMs(self.random.below(150)),
            900..935 => Action::AdvanceMs(1_000 + self.random.below(65_000)),
            935..950 => Action::Look,
            950..955 => Action::Pause(self.random.percent(50)),
            955..970 => Action::Hold,
            970..985 => Action::LookAtHeld,
            _ => Action::Drain,
        }
    }

    /// Appends that are compacted soon, each time by themselves, so that there is much to merge.
    fn any_of_many(&mut self) -> Action {
        let client = self.random.index(self.clients.len());
        match self.random.below(1_000) {
            0..140 => Action::SendNext(client),
            140..180 => Action::SendUnnumbered,
            180..200 => Action::Retry(client),
            200..205 => Action::SendFenced(client),
            205..210 => Action::SendGap(client),
            210..350 => Action::StepCommitter,
            350..400 => Action::StepMaintenance,
            400..680 => Action::StepCompactor,
            680..780 => Action::Compact,
            780..790 => Action::StepScrub,
            790..810 => Action::AdvanceMs(self.random.below(150)),
            810..920 => Action::Seal,
            920..935 => Action::Look,
            935..965 => Action::Pause(self.random.percent(30)),
            965..980 => Action::Hold,
            980..990 => Action::LookAtHeld,
            _ => Action::Drain,
        }
    }

    /// More appends than are compacted, until that is worked off.
    fn any_of_long(&mut self) -> Action {
        let client = self.random.index(self.clients.len());
        match self.random.below(1_000) {
            0..350 => Action::SendNext(client),
            350..400 => Action::SendUnnumbered,
            400..450 => Action::Retry(client),
            450..455 => Action::SendFenced(client),
            455..460 => Action::SendGap(client),
            460..660 => Action::StepCommitter,
            660..760 => Action::StepMaintenance,
            760..860 => Action::StepCompactor,
            860..865 => Action::Compact,
            865..870 => Action::StepScrub,
            870..890 => Action::AdvanceMs(self.random.below(150)),
            890..905 => Action::Seal,
            905..925 => Action::WorkOff,
            925..955 => Action::Pause(self.random.percent(40)),
            955..965 => Action::Look,
            965..975 => Action::Hold,
            975..985 => Action::LookAtHeld,
            _ => Action::Drain,
        }
    }

    /// Does one thing and passes on the answers.
    pub fn act(&mut self, action: Action) {
        match action {
            Action::SendNext(client) => self.send_next(client),
            Action::SendUnnumbered => self.send_unnumbered(),
            Action::Retry(client) => self.retry(client),
            Action::SendFenced(client) => self.send_fenced(client),
            Action::SendGap(client) => self.send_gap(client),
            Action::StepCommitter => drop(self.step(Store::step_committer)),
            Action::StepMaintenance => drop(self.step(Store::step_maintenance)),
            Action::StepCompactor => drop(self.step(Store::step_compactor)),
            Action::StepScrub => self.scrub(),
            Action::Compact => drop(self.step(|store| store.compact().map(|()| Next::Idle))),
            Action::Pause(pause) => self.pause(pause),
            Action::WorkOff => self.work_off(),
            Action::AdvanceMs(ms) => self.clock.advance_ns(ms * 1_000_000),
            Action::Seal => self.seal(),
            Action::Look => self.look(),
            Action::Hold => self.hold(),
            Action::LookAtHeld => self.look_at_held(),
            Action::Drain => self.drain(),
        }
        self.poll();
    }
}
