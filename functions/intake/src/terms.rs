//! The request, field by field, parsed once into types. Every bad field is named, not only the first.

use contract::http::{ApplicationRequest, FieldError, Problem};
use domain::{
    BasisPoints, Consents, Fen, FirmCode,
    calendar::day_in_china,
    money::MAX_ANNUAL_RATE,
    person::{BankCard, Person, PersonName, Phone, ResidentId},
    product::{Catalogue, Product},
};
use jiff::Timestamp;
use lambda_kit::http::invalid;

/// Youngest and oldest legal representative who may apply, in whole years.
const AGES: std::ops::RangeInclusive<i16> = 18..=70;

/// What the borrower asked for, all of it checked.
#[derive(Debug)]
pub struct Terms {
    pub firm_code: FirmCode,
    pub person: Person,
    pub product: Product,
    pub amount_fen: Fen,
    pub term_months: u16,
    pub consents: Consents,
    pub accept_up_to_bp: Option<BasisPoints>,
}

impl Terms {
    /// Checks a request; the problem names every field that is wrong, and repeats no value.
    pub fn check(body: ApplicationRequest, products: &Catalogue, now: Timestamp) -> Result<Self, Problem> {
        let mut faults = Faults::default();
        let firm_code = faults.take("/firm_code", body.firm_code.parse::<FirmCode>());
        let who = &body.legal_representative;
        let name = faults.take("/legal_representative/name", PersonName::parse(&who.name));
        let resident_id =
            faults.take("/legal_representative/resident_id", ResidentId::parse(&who.resident_id));
        let phone = faults.take("/legal_representative/phone", Phone::parse(&who.phone));
        let bank_card = faults.take("/legal_representative/bank_card", BankCard::parse(&who.bank_card));
        if let Some(id) = &resident_id {
            let today = day_in_china(now);
            faults.check("/legal_representative/resident_id", AGES.contains(&id.age_on(today)), || {
                format!("the legal representative must be {} to {} years old", AGES.start(), AGES.end())
            });
        }
        faults.check("/consents/data", body.consents.data, || "this consent is needed".to_owned());
        faults.check("/consents/credit_query", body.consents.credit_query, || {
            "this consent is needed".to_owned()
        });
        let amount_fen = Fen(body.amount_fen);
        let product = products.get(&body.product);
        match product {
            None => faults.add("/product", "there is no such product".to_owned()),
            Some(product) => check_product(&mut faults, product, amount_fen, body.term_months),
        }
        let accept_up_to_bp = body.accept_up_to_bp.map(BasisPoints);
        let legal = accept_up_to_bp.is_none_or(|rate| rate <= MAX_ANNUAL_RATE);
        faults.check("/accept_up_to_bp", legal, || format!("must be at most {}", MAX_ANNUAL_RATE.0));
        match (firm_code, name, resident_id, phone, bank_card, product) {
            (Some(firm_code), Some(name), Some(resident_id), Some(phone), Some(bank_card), Some(product))
                if faults.0.is_empty() =>
            {
                Ok(Self {
                    firm_code,
                    person: Person { name, resident_id, phone, bank_card },
                    product: product.clone(),
                    amount_fen,
                    term_months: body.term_months,
                    consents: body.consents.into(),
                    accept_up_to_bp,
                })
            }
            _ => Err(invalid(faults.0)),
        }
    }

    /// One text per meaning of the request, for the keyed digest that tells a repetition from another request.
    pub fn digest_text(&self) -> String {
        let person = &self.person;
        let consents = self.consents;
        let accept = self.accept_up_to_bp.map_or_else(String::new, |rate| rate.0.to_string());
        [
            self.firm_code.as_str(),
            person.name.expose(),
            person.resident_id.expose(),
            person.phone.expose(),
            person.bank_card.expose(),
            &self.product.id,
            &self.amount_fen.0.to_string(),
            &self.term_months.to_string(),
            &format!("{} {} {}", consents.data, consents.credit_query, consents.face_recognition),
            &accept,
        ]
        .join("\n")
    }
}

fn check_product(faults: &mut Faults, product: &Product, amount: Fen, term_months: u16) {
    let (min, max) = (product.min_amount_fen, product.max_amount_fen);
    faults.check("/amount_fen", (min..=max).contains(&amount), || {
        format!("{} lends {} to {} fen", product.id, min.0, max.0)
    });
    faults.check("/term_months", product.terms_months.contains(&term_months), || {
        format!("{} is lent for {:?} months", product.id, product.terms_months)
    });
}

#[derive(Default)]
struct Faults(Vec<FieldError>);

impl Faults {
    fn take<T, E: std::fmt::Display>(&mut self, pointer: &str, parsed: Result<T, E>) -> Option<T> {
        parsed.map_err(|error| self.add(pointer, error.to_string())).ok()
    }

    fn check(&mut self, pointer: &str, holds: bool, detail: impl FnOnce() -> String) {
        if !holds {
            self.add(pointer, detail());
        }
    }

    fn add(&mut self, pointer: &str, detail: String) {
        self.0.push(FieldError { pointer: pointer.to_owned(), detail });
    }
}
