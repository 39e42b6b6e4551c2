//! A made-up city as a relation graph: seeded, and the same actors whatever its size.
//!
//! An actor is a firm with its person, device, phone and card, an address and a network. It applies a few times, some
//! often; most share nothing with anybody but a network. Supernodes: one network of a fourteenth of all applications, forty
//! carriers, accountants' phones of up to 400, offices. Rings are planted at half a percent: device farms, agencies and
//! families.

use crate::bench::firm_code;
use domain::ApplicationId;
use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use ports::relation::{Link, Node, NodeKind};

/// Applications of one actor on average; with six nodes of its own and its share of common ones a million nodes have ten
/// million edges.
const NODES_PER_ACTOR: f64 = 5.95;
/// Most applications of one actor.
const MOST: u32 = 45;
const MOST_IN_RING: u32 = 6;
/// Actors of which one is in a ring, a family, with an accountant or in an office.
const RING_EVERY: u32 = 200;
const SECONDS: u64 = 90 * 86_400 - 7_200;

/// What an actor is, for those who pick whom to check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Ordinary,
    /// On the largest network, an accountant's phone or an office's address.
    Supernode,
    Ring,
}

/// One application: its actor, and how many of the actor's came before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Application {
    pub actor: u32,
    pub serial: u32,
}

#[derive(Debug)]
pub(super) struct City {
    seed: u64,
    actors: u32,
    pub applications: Vec<Application>,
    /// The end of the window.
    pub now: Timestamp,
}

fn rng(seed: u64, what: u64, number: u64) -> Rng {
    Rng::with_seed(
        seed ^ what.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ number.wrapping_mul(0xD134_2543_DE82_EF95),
    )
}

impl City {
    /// A city whose graph has about so many nodes and ten times as many edges.
    pub(super) fn of(nodes: u32, seed: u64) -> Self {
        let actors = (f64::from(nodes) / NODES_PER_ACTOR) as u32;
        let now = Timestamp::from_second(1_795_600_000).unwrap_or_default();
        let mut city = Self { seed, actors, applications: Vec::new(), now };
        for actor in 0..actors {
            let count = city.count(actor);
            city.applications.extend((0..count).map(|serial| Application { actor, serial }));
        }
        city
    }

    /// Applications of an actor: heavy-tailed, eight and a half on average.
    fn count(&self, actor: u32) -> u32 {
        let u = rng(self.seed, 1, actor.into()).f64().max(1e-9);
        let most = if self.role(actor) == Role::Ring { MOST_IN_RING } else { MOST };
        ((3.7 / u.powf(0.62)) as u32).clamp(1, most)
    }

    pub(super) fn role(&self, actor: u32) -> Role {
        match actor % RING_EVERY {
            0 => Role::Ring,
            1..=9 => Role::Supernode,
            _ => Role::Ordinary,
        }
    }

    fn hash(&self, what: u64, number: u64) -> String {
        format!("{:032x}", rng(self.seed, what, number).u128(..))
    }

    /// The nodes of an actor beside its firm.
    fn nodes(&self, actor: u32) -> Vec<Node> {
        let mut draw = rng(self.seed, 2, actor.into());
        let (block, place) = (u64::from(actor / RING_EVERY), actor % RING_EVERY);
        let own = u64::from(actor);
        let (mut device, mut phone, mut card, mut person) = (own, own, own, own);
        let mut address = if draw.f64() < 0.6 { own } else { (1 << 40) + own / 40 };
        let mut network = match draw.f64() {
            way if way < 0.55 => own,
            way if way < 0.90 => (1 << 41) + draw.u64(0..40),
            _ => (1 << 42) + own / 300,
        };
        match place {
            // Five rings in a row share: a farm's device and network, an agency's phone and card, one person's firms.
            0 => match (block / 5) % 3 {
                0 => (device, network) = ((1 << 43) + block / 5, (1 << 43) + block / 5),
                1 => (phone, card) = ((1 << 43) + block / 5, (1 << 43) + block / 5),
                _ => person = (1 << 43) + block / 5,
            },
            // An accountant keeps a few clients' books, or the one of all 400.
            1 => phone = (1 << 44) + if block % 2 == 0 { block / 100 } else { block / 12 },
            2 | 3 => (address, network) = ((1 << 45) + block / 20, (1 << 45) + block / 20),
            // The network of a hall.
            4..=9 => network = 1 << 46,
            // Man and wife have a phone or a device together.
            10 | 11 if block % 2 == 0 => device = (1 << 47) + block,
            12 | 13 => phone = (1 << 47) + block,
            _ => {}
        }
        // And one in fourteen comes over the hall's network wherever it belongs.
        if draw.u32(0..25) == 0 {
            network = 1 << 46;
        }
        // Each kind draws from a stream of its own; a city that was kept is the same whatever kinds come to be known.
        let kinds = [
            (NodeKind::Card, 3, card),
            (NodeKind::Device, 4, device),
            (NodeKind::Phone, 5, phone),
            (NodeKind::Person, 6, person),
            (NodeKind::Address, 9, address),
            (NodeKind::Network, 10, network),
            (NodeKind::Account, 11, own),
        ];
        kinds.map(|(kind, stream, number)| Node { kind, hash: self.hash(stream, number) }).into()
    }

    /// The id of an application; it tells nothing.
    pub(super) fn id(&self, of: Application) -> ApplicationId {
        let number = u64::from(of.actor) << 8 | u64::from(of.serial);
        ApplicationId::from_bytes(rng(self.seed, 20, number).u128(..).to_be_bytes())
    }

    /// The link of an application; `None` for an actor past those that have a code.
    pub(super) fn link(&self, of: Application) -> Option<Link> {
        const BANKS: [&str; 4] = ["river-bank", "lake-bank", "hill-bank", "bay-bank"];
        let firm = firm_code(of.actor)?;
        let mut nodes = self.nodes(of.actor);
        nodes.push(Node { kind: NodeKind::Firm, hash: firm.as_str().to_owned() });
        nodes.sort_unstable();
        let number = u64::from(of.actor) << 8 | u64::from(of.serial);
        let mut draw = rng(self.seed, 21, number);
        // A ring applies within two days, each of its firms in the same ones.
        let ago = match self.role(of.actor) {
            Role::Ring => {
                let ring = u64::from(of.actor / RING_EVERY / 5);
                rng(self.seed, 22, ring).u64(0..SECONDS - 200_000) + draw.u64(0..170_000)
            }
            _ => draw.u64(0..SECONDS),
        };
        let bank = BANKS[rng(self.seed, 23, of.actor.into()).usize(0..BANKS.len())];
        Some(Link {
            application: self.id(of),
            firm,
            nodes,
            at: self.now - SignedDuration::from_secs(ago as i64 + 3_600),
            amount_fen: draw.u64(5..100) * 1_000_000,
            bank: bank.to_owned(),
            place: Some("Wuhan".to_owned()),
            account_days: Some(draw.u32(0..200)),
        })
    }

    /// The first tenth of the actors, who are in a city of a tenth of the size too. Whoever is checked is one of them.
    pub(super) fn checked(&self) -> u32 {
        self.actors / 10
    }

    /// Some applications of a role, among the first so many actors, always the same.
    pub(super) fn some(&self, role: Role, of_actors: u32, count: usize) -> Vec<Application> {
        let until = self.applications.partition_point(|of| of.actor < of_actors);
        let mut all: Vec<Application> =
            self.applications[..until].iter().copied().filter(|of| self.role(of.actor) == role).collect();
        rng(self.seed, 30, role as u64).shuffle(&mut all);
        all.truncate(count);
        all
    }
}
