//! What the record of applicants promises.

use super::{application, at};
use crate::journal::{Applicant, Applicants, Claim, Journal};
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
    Applicant { person, request_digest: request_digest.to_owned(), claimed_at: at(1) }
}

pub async fn nobody_has_claimed_an_application_at_first(applicants: &dyn Applicants) {
    assert_eq!(applicants.get(application(1)).await.unwrap(), None);
}

pub async fn the_first_claim_wins_and_the_second_is_told_of_it(applicants: &dyn Applicants) {
    let first = applicant("first");
    assert_eq!(applicants.claim(application(1), &first).await.unwrap(), Claim::New);
    let second = applicants.claim(application(1), &applicant("second")).await.unwrap();
    assert_eq!(second, Claim::Taken(Box::new(first.clone())));
    assert_eq!(applicants.get(application(1)).await.unwrap(), Some(first));
}

pub async fn the_same_request_again_is_told_of_itself(applicants: &dyn Applicants) {
    let claim = applicant("same");
    assert_eq!(applicants.claim(application(1), &claim).await.unwrap(), Claim::New);
    let again = applicants.claim(application(1), &claim).await.unwrap();
    assert_eq!(again, Claim::Taken(Box::new(claim)));
}

pub async fn of_racing_claims_exactly_one_is_new(applicants: &dyn Applicants) {
    let claims: Vec<Applicant> = (0..8).map(|n| applicant(&n.to_string())).collect();
    let outcomes = join_all(claims.iter().map(|claim| applicants.claim(application(1), claim))).await;
    let outcomes: Vec<Claim> = outcomes.into_iter().map(Result::unwrap).collect();
    let winners = outcomes.iter().zip(&claims).filter(|(outcome, _)| **outcome == Claim::New);
    let [(_, winner)] = winners.collect::<Vec<_>>()[..] else { panic!("{outcomes:?}") };
    let told = outcomes.iter().filter(|outcome| **outcome == Claim::Taken(Box::new(winner.clone())));
    assert_eq!(told.count(), claims.len() - 1);
}

pub async fn an_applicant_is_no_entry_of_the_journal(store: &(impl Applicants + Journal)) {
    store.claim(application(1), &applicant("only")).await.unwrap();
    assert_eq!(store.load(application(1)).await.unwrap(), []);
}
