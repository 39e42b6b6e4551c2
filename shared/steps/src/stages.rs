//! How long the stages of an application took, and where it has come. Pure, from the journal alone.

use domain::journey::{Command, Event, Status};
use ports::{
    journal::Entry,
    observer::{Milestone, Stage, StageTime},
};

/// The stages that an entry ended, given those before it.
pub fn stages_ended(before: &[Entry], last: &Entry) -> Vec<StageTime> {
    last.events.iter().filter_map(|event| stage_ended(before, last, event)).collect()
}

fn stage_ended(before: &[Entry], last: &Entry, event: &Event) -> Option<StageTime> {
    let sent = |command: Command| before.iter().rev().find(|entry| entry.commands.contains(&command));
    let (stage, cause) = match event {
        Event::FaceChecked { attempt, .. } => {
            (Stage::Face, sent(Command::StartFaceCheck { attempt: *attempt }))
        }
        Event::PhoneChecked { attempt, .. } => {
            (Stage::Phone, sent(Command::StartPhoneCheck { attempt: *attempt }))
        }
        Event::Scored { .. } => (Stage::Score, sent(Command::Score)),
        Event::GraphChecked { .. } => (Stage::Graph, sent(Command::CheckGraph)),
        Event::Decided { .. } => (Stage::Decide, sent(Command::Decide)),
        // A bank that corrects itself settles nothing anew.
        Event::PaidOut { .. } if !before.iter().any(|entry| has(entry, is_settled)) => {
            (Stage::Settle, before.iter().rev().find(|entry| has(entry, is_request)))
        }
        _ => return None,
    };
    let cause = cause?;
    Some(StageTime { stage, cause: cause.number, from: cause.at, to: last.at })
}

fn has(entry: &Entry, is: impl Fn(&Event) -> bool) -> bool {
    entry.events.iter().any(is)
}

fn is_settled(event: &Event) -> bool {
    matches!(event, Event::PaidOut { .. } | Event::PayoutFailed { .. })
}

fn is_request(event: &Event) -> bool {
    matches!(event, Event::PayoutRequested { .. })
}

/// What is reached when an event brings a journey to `status` from `before`.
pub(crate) fn milestone(before: Option<Status>, status: Status) -> Option<Milestone> {
    if before == Some(status) {
        return None;
    }
    match status {
        Status::Checking => before.is_none().then_some(Milestone::Applied),
        Status::Deciding | Status::PayoutRequested => None,
        Status::Offered => Some(Milestone::Approved),
        Status::Accepted => Some(Milestone::Accepted),
        Status::PaidOut => Some(Milestone::PaidOut),
        Status::Declined => Some(Milestone::Declined),
        Status::Expired => Some(Milestone::Expired),
        Status::Cancelled => Some(Milestone::Cancelled),
        Status::PayoutFailed => Some(Milestone::PayoutFailed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{ApplicationId, Reason, checks::CheckAnswer, decision::Decision};
    use jiff::{SignedDuration, Timestamp};

    fn at(second: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second)
    }

    fn entry(number: u32, events: Vec<Event>, commands: Vec<Command>) -> Entry {
        Entry { number, at: at(i64::from(number)), by: "test/1".to_owned(), events, commands }
    }

    fn phone(attempt: u8) -> Event {
        Event::PhoneChecked { attempt, answer: CheckAnswer::Unknown, message_id: String::new() }
    }

    fn paid(resolution: u32) -> Event {
        Event::PaidOut { bank_reference: String::new(), resolution }
    }

    /// The stages that each entry ended: entry, stage, the entry that caused it.
    fn told(entries: &[Entry]) -> Vec<(u32, Stage, u32)> {
        let numbered = entries.iter().enumerate();
        let told = numbered.flat_map(|(place, entry)| {
            let stages = stages_ended(&entries[..place], entry);
            stages.into_iter().map(|time| (entry.number, time.stage, time.cause))
        });
        told.collect()
    }

    #[test]
    fn a_second_attempt_is_timed_from_the_answer_that_asked_for_it() {
        let entries = [
            entry(1, vec![], vec![Command::StartPhoneCheck { attempt: 1 }]),
            entry(2, vec![phone(1)], vec![Command::StartPhoneCheck { attempt: 2 }]),
            entry(3, vec![Event::Cancelled], vec![]),
            entry(4, vec![phone(2)], vec![]),
        ];
        assert_eq!(told(&entries), [(2, Stage::Phone, 1), (4, Stage::Phone, 2)]);
        assert_eq!(stages_ended(&entries[..3], &entries[3])[0].milliseconds(), 2_000.0);
    }

    #[test]
    fn a_decision_after_a_ring_is_timed_from_the_ring() {
        let decided = Event::Decided {
            revision: 1,
            strategy: String::new(),
            decision: Decision::Declined { reasons: vec![Reason::ScoreLow] },
        };
        let entries = [
            entry(1, vec![], vec![Command::Decide]),
            entry(2, vec![decided.clone()], vec![]),
            entry(3, vec![], vec![Command::Decide]),
            entry(4, vec![decided], vec![]),
        ];
        assert_eq!(told(&entries), [(2, Stage::Decide, 1), (4, Stage::Decide, 3)]);
    }

    #[test]
    fn a_payout_settles_once_however_often_the_bank_corrects_itself() {
        let requested = Event::PayoutRequested { payout_id: ApplicationId::from_bytes([1; 16]).payout_id() };
        let failed = Event::PayoutFailed { reason: Reason::BankFailed, resolution: 2 };
        let entries = [
            entry(1, vec![requested], vec![]),
            entry(2, vec![paid(1)], vec![]),
            entry(3, vec![failed], vec![]),
            entry(4, vec![paid(3)], vec![]),
        ];
        assert_eq!(told(&entries), [(2, Stage::Settle, 1)]);
    }

    #[test]
    fn a_check_that_nobody_asked_for_has_no_time() {
        assert_eq!(told(&[entry(1, vec![phone(1)], vec![])]), []);
    }

    #[test]
    fn clocks_that_disagree_give_no_time_below_zero() {
        let time = StageTime { stage: Stage::Score, cause: 1, from: at(2), to: at(1) };
        assert_eq!(time.milliseconds(), 0.0);
    }
}
