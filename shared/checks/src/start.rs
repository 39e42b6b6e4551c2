//! From a start command to the provider.

use crate::Checks;
use contract::{
    provider::{PersonToCheck, StartCheck},
    queue::CommandMessage,
};
use counterparties::CheckKind;
use domain::{journey::Command, person::Person};
use lambda_kit::RecordError;
use steps::AdvanceError;

impl Checks {
    /// Starts the check that the command names, unless the journey no longer waits for it.
    pub(crate) async fn start(&self, message: CommandMessage) -> Result<(), RecordError> {
        let id = message.application_id;
        let attempt = attempt(self.kind, message.command)
            .ok_or(RecordError::Handler("the command belongs to another queue"))?;
        let loaded = self.journeys.load(id).await?.ok_or(AdvanceError::NotFound)?;
        if !loaded.journey.outstanding().contains(&message.command) {
            tracing::info!("the journey no longer waits for this check");
            return Ok(());
        }
        let person = self
            .applicants
            .get(id)
            .await?
            .ok_or(RecordError::Handler("the applicant's data is gone, the check cannot be started"))?;
        let traces = &loaded.journey.application.traces;
        let check = StartCheck {
            check_id: self.kind.check_id(id, attempt),
            application_id: id,
            attempt,
            callback_url: format!("{}{}", self.public_url, self.kind.callback_path()),
            person_ref: &traces.person,
            person: person_to_check(self.kind, &person),
            device: &traces.device,
        };
        Ok(self.provider.start(&check).await?)
    }
}

fn person_to_check(kind: CheckKind, person: &Person) -> PersonToCheck<'_> {
    PersonToCheck {
        name: &person.name,
        resident_id: &person.resident_id,
        phone: &person.phone,
        bank_card: (kind == CheckKind::Phone).then_some(&person.bank_card),
    }
}

/// The attempt that a command asks for; `None` for a command of another kind.
fn attempt(kind: CheckKind, command: Command) -> Option<u8> {
    match (kind, command) {
        (CheckKind::Face, Command::StartFaceCheck { attempt })
        | (CheckKind::Phone, Command::StartPhoneCheck { attempt }) => Some(attempt),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_takes_commands_of_its_own_kind_only() {
        let (face, phone) = (Command::StartFaceCheck { attempt: 2 }, Command::StartPhoneCheck { attempt: 3 });
        assert_eq!(attempt(CheckKind::Face, face), Some(2));
        assert_eq!(attempt(CheckKind::Phone, phone), Some(3));
        assert_eq!(attempt(CheckKind::Face, phone), None);
        assert_eq!(attempt(CheckKind::Phone, face), None);
        assert_eq!(attempt(CheckKind::Face, Command::PayOut), None);
    }
}
