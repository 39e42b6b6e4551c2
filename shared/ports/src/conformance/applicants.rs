//! What the record of applicants promises.

use super::{application, at};
use crate::applicants::{Applicant, ApplicantRecords, Applicants, Claim, Claimed, Payees};
use domain::person::{BankCard, Person, PersonName, Phone, ResidentId};
use futures::future::join_all;

/// The person whose resident id is printed in GB 11643-1999, with a digest of their own request.
fn applicant(request_digest: &str) -> Applicant {
    let person = Person {
        name: PersonName::parse("阿卜杜拉·艾合买提").unwrap(),
        resident_id: ResidentId::parse("11010519491231002X").unwrap(),
        phone: Phone::parse("13800138000").unwrap(),
        bank_card: BankCard::parse("4111111111111111").unwrap(),
    };
    Applicant { person, claim: Claimed { request_digest: request_digest.to_owned(), claimed_at: at(1) } }
}

pub async fn nobody_has_claimed_an_application_at_first(
    store: &(impl ApplicantRecords + Applicants + Payees),
) {
    assert_eq!(store.get(application(1)).await.unwrap(), None);
}

pub async fn the_first_claim_wins_and_the_second_is_told_of_it(
    store: &(impl ApplicantRecords + Applicants + Payees),
) {
    let first = applicant("first");
    assert_eq!(store.claim(application(1), &first).await.unwrap(), Claim::New);
    let second = store.claim(application(1), &applicant("second")).await.unwrap();
    assert_eq!(second, Claim::Taken(first.claim));
    assert_eq!(store.get(application(1)).await.unwrap(), Some(first.person));
}

pub async fn the_same_request_again_is_told_of_itself(store: &(impl ApplicantRecords + Applicants + Payees)) {
    let claim = applicant("same");
    assert_eq!(store.claim(application(1), &claim).await.unwrap(), Claim::New);
    let again = store.claim(application(1), &claim).await.unwrap();
    assert_eq!(again, Claim::Taken(claim.claim));
}

pub async fn of_racing_claims_exactly_one_is_new(store: &(impl ApplicantRecords + Applicants + Payees)) {
    let claims: Vec<Applicant> = (0..8).map(|n| applicant(&n.to_string())).collect();
    let outcomes = join_all(claims.iter().map(|claim| store.claim(application(1), claim))).await;
    let outcomes: Vec<Claim> = outcomes.into_iter().map(Result::unwrap).collect();
    let winners = outcomes.iter().zip(&claims).filter(|(outcome, _)| **outcome == Claim::New);
    let [(_, winner)] = winners.collect::<Vec<_>>()[..] else { panic!("{outcomes:?}") };
    let told = outcomes.iter().filter(|outcome| **outcome == Claim::Taken(winner.claim.clone()));
    assert_eq!(told.count(), claims.len() - 1);
}

pub async fn what_is_erased_is_gone_and_the_same_request_does_not_bring_it_back(
    store: &(impl ApplicantRecords + Applicants + Payees),
) {
    let (first, other) = (applicant("first"), applicant("other"));
    store.claim(application(1), &first).await.unwrap();
    store.claim(application(2), &other).await.unwrap();
    assert_eq!(store.erase(application(1), at(5)).await.unwrap(), at(5));
    assert_eq!(store.erase(application(1), at(9)).await.unwrap(), at(5), "erased once");
    assert_eq!(store.get(application(1)).await.unwrap(), None);
    assert_eq!(store.claim(application(1), &first).await.unwrap(), Claim::Taken(first.claim));
    assert_eq!(store.get(application(1)).await.unwrap(), None);
    assert_eq!(store.get(application(2)).await.unwrap(), Some(other.person), "nobody else is erased");
}

pub async fn a_payee_is_read_and_kept_however_often_and_never_when_erased(
    store: &(impl ApplicantRecords + Applicants + Payees),
) {
    let claim = applicant("first");
    assert_eq!(store.keep(application(1)).await.unwrap(), None, "nobody claimed it");
    assert_eq!(store.get(application(1)).await.unwrap(), None, "and nothing is written");
    store.claim(application(1), &claim).await.unwrap();
    for _ in 0..2 {
        assert_eq!(store.keep(application(1)).await.unwrap(), Some(claim.person.clone()));
    }
    assert_eq!(store.get(application(1)).await.unwrap(), Some(claim.person));
    store.erase(application(1), at(5)).await.unwrap();
    assert_eq!(store.keep(application(1)).await.unwrap(), None);
}
