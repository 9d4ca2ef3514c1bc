//! The official library's post-quantum ratchet (spec/06-spqr.md §6.10), as its exported records show it. Nobody documents
//! that format: what does not fit together exactly is not guessed at, and the state is left out.

mod proto;

use alloc::sync::Arc;
use alloc::vec::Vec;

use prost::Message;

use self::proto::{Core, Exchange, Parts, Ratchet, State};
use crate::spqr::authenticator::Authenticator;
use crate::spqr::braid::{
    Base, Braid, Ct1Acknowledged, Ct1Received, Ct1Sampled, Ct2Sampled, EkReceivedCt1Sampled, EkSentCt1Received,
    Encapsulation, HeaderReceived, HeaderSent, KeysSampled, KeysUnsampled, NoHeaderReceived, SecondPart,
};
use crate::spqr::chain::{Head, Heads, Kept, Link, MAX_LINKS, MessageKey, RootBytes};
use crate::spqr::erasure::{CHUNK, Chunk, Decoder, Decoding, LANES, Part};
use crate::spqr::kem::{self, DecapsulationKey, EncapsulationSeed};
use crate::spqr::{Epoch, Negotiation, Role, Spqr};

/// None if this is no state that we could go on with.
pub(super) fn ratchet(record: &[u8]) -> Option<Spqr> {
    let Ratchet { start, chains, exchange } = Ratchet::decode(record).ok()?;
    let negotiation = if start.is_some() { Negotiation::Open } else { Negotiation::Closed };
    let (role, heads, kept) = match (&chains, &start) {
        (Some(chains), _) => self::chains(chains)?,
        (None, Some(start)) => {
            let role = role(start.direction)?;
            (role, Heads::new(&array(&start.auth_key)?, role), Kept::new())
        }
        (None, None) => return None,
    };
    let braid = braid(&exchange?)?;
    let is_consistent = braid.epoch() == heads.newest() || braid.epoch() == heads.newest().next();
    is_consistent.then_some(Spqr { role, negotiation, heads, kept, braid })
}

const fn role(direction: u32) -> Option<Role> {
    match direction {
        0 => Some(Role::Initiator),
        1 => Some(Role::Responder),
        _ => None,
    }
}

fn chains(chains: &proto::Chains) -> Option<(Role, Heads, Kept)> {
    let role = role(chains.direction)?;
    let sending_epoch = Epoch(chains.sending_epoch);
    let count = u64::try_from(chains.links.len()).ok()?;
    let first = chains.epoch.checked_add(1)?.checked_sub(count)?;
    let (mut links, mut kept) = (Vec::with_capacity(MAX_LINKS), Kept::new());
    for (epoch, link) in (first..).map(Epoch).zip(&chains.links) {
        let receiving = link.receiving.as_ref()?;
        let sending = link.sending.as_ref().filter(|chain| !chain.next.is_empty()).map(head);
        let sending = if epoch >= sending_epoch { Some(sending??) } else { None };
        let head = head(receiving)?;
        for (index, key) in kept_keys(&receiving.kept)? {
            if index == 0 || index >= head.counter {
                return None;
            }
            kept.insert((epoch, index), key);
        }
        links.push(Link { epoch, sending, receiving: head });
    }
    if links.is_empty() || links.len() > MAX_LINKS || links.iter().all(|link| link.epoch != sending_epoch) {
        return None;
    }
    let heads = Heads { next_root: RootBytes(array(&chains.next_root)?.into()), sending_epoch, links };
    kept.retain(|(epoch, index), _| heads.keeps(*epoch, *index));
    Some((role, heads, kept))
}

fn head(chain: &proto::Chain) -> Option<Head> {
    Some(Head { next: array(&chain.next)?.into(), counter: chain.counter })
}

fn kept_keys(kept: &[u8]) -> Option<Vec<(u32, MessageKey)>> {
    let (entries, rest) = kept.as_chunks::<36>();
    let entry = |entry: &[u8; 36]| {
        let (index, key) = entry.split_first_chunk::<4>()?;
        Some((u32::from_be_bytes(*index), MessageKey::from_bytes(key.try_into().ok()?)))
    };
    rest.is_empty().then(|| entries.iter().map(entry).collect())?
}

fn braid(exchange: &Exchange) -> Option<Braid> {
    Some(match exchange.state.as_ref()? {
        State::KeysUnsampled(parts) => Braid::KeysUnsampled(KeysUnsampled { base: parts.base()? }),
        State::KeysSampled(parts) => {
            let (base, key) = (parts.base()?, DecapsulationKey::from_bytes(&array(&parts.core()?.fourth)?));
            let header_mac = base.authenticator.header_mac(base.epoch, key.header());
            Braid::KeysSampled(KeysSampled { base, key, header_mac, next_chunk: parts.next_chunk()? })
        }
        State::HeaderSent(parts) => Braid::HeaderSent(HeaderSent {
            base: parts.base()?,
            key: parts.key()?,
            next_chunk: parts.next_chunk()?,
            ct1: decoder(Part::Ciphertext1, &parts.second)?,
        }),
        State::Ct1Received(parts) => Braid::Ct1Received(Ct1Received {
            base: parts.base()?,
            key: parts.key()?,
            next_chunk: parts.next_chunk()?,
            ct1: Arc::new(array(&parts.core()?.fourth)?),
        }),
        State::EkSentCt1Received(parts) => Braid::EkSentCt1Received(EkSentCt1Received {
            base: parts.base()?,
            key: parts.key()?,
            ct1: Arc::new(array(&parts.core()?.fourth)?),
            ct2: decoder(Part::Ciphertext2, &parts.second)?,
        }),
        State::NoHeaderReceived(parts) => {
            let header = decoder(Part::Header, &parts.first)?;
            Braid::NoHeaderReceived(NoHeaderReceived { base: parts.base()?, header })
        }
        State::HeaderReceived(parts) => {
            Braid::HeaderReceived(HeaderReceived { base: parts.base()?, header: array(&parts.core()?.third)? })
        }
        State::Ct1Sampled(parts) => Braid::Ct1Sampled(Ct1Sampled {
            base: parts.base()?,
            encapsulation: parts.encapsulation()?,
            next_chunk: parts.next_chunk()?,
            key: decoder(Part::EncapsulationKey, &parts.second)?,
        }),
        State::EkReceivedCt1Sampled(parts) => {
            let (base, Core { third, fourth, fifth, .. }) = (parts.base()?, parts.core()?);
            let ct1 = Arc::new(array(fifth)?);
            let ct2 = kem::second_part_of_state(&array(third)?, &array(fourth)?)?;
            let ct2 = SecondPart::new(&base, &ct1, &ct2);
            Braid::EkReceivedCt1Sampled(EkReceivedCt1Sampled { base, ct1, next_chunk: parts.next_chunk()?, ct2 })
        }
        State::Ct1Acknowledged(parts) => Braid::Ct1Acknowledged(Ct1Acknowledged {
            base: parts.base()?,
            encapsulation: parts.encapsulation()?,
            key: decoder(Part::EncapsulationKey, &parts.first)?,
        }),
        State::Ct2Sampled(parts) => Braid::Ct2Sampled(Ct2Sampled {
            base: parts.base()?,
            ct2: SecondPart(array(&parts.message(Part::Ciphertext2)?)?),
            next_chunk: parts.next_chunk()?,
        }),
    })
}

impl Parts {
    const fn core(&self) -> Option<&Core> {
        self.core.as_ref()
    }

    fn base(&self) -> Option<Base> {
        let Core { epoch, authenticator, .. } = self.core()?;
        let keys = authenticator.as_ref()?;
        let authenticator = Authenticator::from_keys(&array(&keys.root)?, &array(&keys.mac_key)?);
        (*epoch > 0).then_some(Base { epoch: Epoch(*epoch), authenticator })
    }

    /// In all states but `KeysSampled`, which has the key's vector before it.
    fn key(&self) -> Option<DecapsulationKey> {
        Some(DecapsulationKey::from_bytes(&array(&self.core()?.third)?))
    }

    /// The library keeps half of an encapsulation's work; we keep what it was made from, which stands at its end. Making
    /// the first part again shows that it does.
    fn encapsulation(&self) -> Option<Encapsulation> {
        let Core { epoch, third, fourth, fifth, .. } = self.core()?;
        let header = array(third)?;
        let state: [u8; kem::ENCAPSULATION_STATE] = array(fourth)?;
        let (_, made_from) = state.split_last_chunk::<32>()?;
        let (seed, ct1, _) = kem::encapsulate_from(Epoch(*epoch), &header, EncapsulationSeed::from_bytes(made_from));
        (ct1[..] == fifth[..]).then(|| Encapsulation { header, seed, ct1: Arc::from(ct1) })
    }

    fn next_chunk(&self) -> Option<u16> {
        u16::try_from(proto::Encoder::decode(&*self.first).ok()?.next_chunk).ok()
    }

    /// What the encoder sends, out of either of its two forms.
    fn message(&self, part: Part) -> Option<Vec<u8>> {
        let encoder = proto::Encoder::decode(&*self.first).ok()?;
        match (&*encoder.values, &*encoder.coefficients) {
            (values, []) => part.message_of_values(&lanes(values)?),
            ([], coefficients) => part.message_of_coefficients(&lanes(coefficients)?),
            _ => None,
        }
    }
}

fn lanes(lanes: &[Vec<u8>]) -> Option<[Vec<u16>; LANES]> {
    let elements = |lane: &Vec<u8>| {
        let (elements, rest) = lane.as_chunks::<2>();
        rest.is_empty().then(|| elements.iter().map(|element| u16::from_be_bytes(*element)).collect::<Vec<_>>())
    };
    lanes.iter().map(elements).collect::<Option<Vec<_>>>()?.try_into().ok()
}

fn decoder(part: Part, record: &[u8]) -> Option<Arc<Decoder>> {
    let lanes = lanes(&proto::Decoder::decode(record).ok()?.lanes)?;
    let [first, ..] = &lanes;
    let numbers: Vec<u16> = first.iter().step_by(2).copied().collect();
    let mut decoder = Decoder::new(part);
    for (at, number) in numbers.iter().enumerate() {
        let mut data = [0; CHUNK];
        let (elements, _) = data.as_chunks_mut::<2>();
        for (element, lane) in elements.iter_mut().zip(&lanes) {
            let mut pairs = lane.chunks_exact(2);
            let [same, value] = *pairs.nth(at)? else { return None };
            if same != *number || lane.len() != first.len() {
                return None;
            }
            *element = value.to_be_bytes();
        }
        match decoder.with(&Chunk { index: *number, data }) {
            Decoding::Incomplete(next) => decoder = next,
            // A part that is complete is no longer waited for.
            Decoding::Complete(_) => return None,
        }
    }
    (decoder.seen() == numbers).then(|| Arc::new(decoder))
}

fn array<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok()
}
