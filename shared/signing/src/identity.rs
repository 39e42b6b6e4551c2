//! Which values are kept as keyed hashes, each under a kind of its own, in one place: whoever writes a hash and
//! whoever looks it up must hash the same text under the same name.

use crate::{KeyedHash, KeyedHasher};
use domain::person::{BankCard, PersonName, Phone, ResidentId};

impl KeyedHasher {
    /// Name and resident id together: the same person under another name is another identity.
    pub fn identity(&self, name: &PersonName, resident_id: &ResidentId) -> KeyedHash {
        self.hash("identity", &format!("{}\n{}", resident_id.expose(), name.expose()))
    }

    /// The person, whatever name was typed.
    pub fn person(&self, resident_id: &ResidentId) -> KeyedHash {
        self.hash("person", resident_id.expose())
    }

    pub fn phone(&self, phone: &Phone) -> KeyedHash {
        self.hash("phone", phone.expose())
    }

    pub fn bank_card(&self, card: &BankCard) -> KeyedHash {
        self.hash("bank_card", card.expose())
    }

    /// A firm's registered address.
    pub fn address(&self, address: &str) -> KeyedHash {
        self.hash("address", address)
    }

    /// A device as the channel names it.
    pub fn device(&self, device: &str) -> KeyedHash {
        self.hash("device", device)
    }

    /// A network as the channel names it.
    pub fn network(&self, network: &str) -> KeyedHash {
        self.hash("network", network)
    }

    /// A coarse place as the channel names it.
    pub fn place(&self, place: &str) -> KeyedHash {
        self.hash("place", place)
    }
}
