//! The official library's record of its post-quantum ratchet, field by field (spec/06-spqr.md §6.10). Decoded only; what is
//! secret is wiped with the message that holds it.

use alloc::vec::Vec;

use zeroize::Zeroize;

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Ratchet {
    /// There until the peer was heard.
    #[prost(message, optional, tag = "1")]
    pub(super) start: Option<Start>,
    /// There once something was sent or received.
    #[prost(message, optional, tag = "2")]
    pub(super) chains: Option<Chains>,
    #[prost(message, optional, tag = "3")]
    pub(super) exchange: Option<Exchange>,
}

/// What chains begin with that are not made yet.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Start {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) auth_key: Vec<u8>,
    /// 0 at the initiator, 1 at the responder.
    #[prost(uint32, tag = "2")]
    pub(super) direction: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Chains {
    /// 0 at the initiator, 1 at the responder.
    #[prost(uint32, tag = "1")]
    pub(super) direction: u32,
    /// Of the last link.
    #[prost(uint64, tag = "2")]
    pub(super) epoch: u64,
    /// Of consecutive epochs.
    #[prost(message, repeated, tag = "3")]
    pub(super) links: Vec<Link>,
    #[prost(bytes = "vec", tag = "4")]
    pub(super) next_root: Vec<u8>,
    #[prost(uint64, tag = "5")]
    pub(super) sending_epoch: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Link {
    #[prost(message, optional, tag = "1")]
    pub(super) sending: Option<Chain>,
    #[prost(message, optional, tag = "2")]
    pub(super) receiving: Option<Chain>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Chain {
    #[prost(uint32, tag = "1")]
    pub(super) counter: u32,
    /// Empty where nothing will be sent any more.
    #[prost(bytes = "vec", tag = "2")]
    pub(super) next: Vec<u8>,
    /// Kept keys, each its number[4] and itself[32].
    #[prost(bytes = "vec", tag = "3")]
    pub(super) kept: Vec<u8>,
}

/// The state, by its number in spec §6.9, which is the tag.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Exchange {
    #[prost(oneof = "State", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11")]
    pub(super) state: Option<State>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum State {
    #[prost(message, tag = "1")]
    KeysUnsampled(Parts),
    #[prost(message, tag = "2")]
    KeysSampled(Parts),
    #[prost(message, tag = "3")]
    HeaderSent(Parts),
    #[prost(message, tag = "4")]
    Ct1Received(Parts),
    #[prost(message, tag = "5")]
    EkSentCt1Received(Parts),
    #[prost(message, tag = "6")]
    NoHeaderReceived(Parts),
    #[prost(message, tag = "7")]
    HeaderReceived(Parts),
    #[prost(message, tag = "8")]
    Ct1Sampled(Parts),
    #[prost(message, tag = "9")]
    EkReceivedCt1Sampled(Parts),
    #[prost(message, tag = "10")]
    Ct1Acknowledged(Parts),
    #[prost(message, tag = "11")]
    Ct2Sampled(Parts),
}

/// Every state has the same fields; which of them mean what, spec §6.10 says.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Parts {
    #[prost(message, optional, tag = "1")]
    pub(super) core: Option<Core>,
    /// An [`Encoder`] or a [`Decoder`].
    #[prost(bytes = "vec", tag = "2")]
    pub(super) first: Vec<u8>,
    /// A [`Decoder`].
    #[prost(bytes = "vec", tag = "3")]
    pub(super) second: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Core {
    #[prost(uint64, tag = "1")]
    pub(super) epoch: u64,
    #[prost(message, optional, tag = "2")]
    pub(super) authenticator: Option<Authenticator>,
    #[prost(bytes = "vec", tag = "3")]
    pub(super) third: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    pub(super) fourth: Vec<u8>,
    #[prost(bytes = "vec", tag = "5")]
    pub(super) fifth: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Authenticator {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) root: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) mac_key: Vec<u8>,
}

/// Sixteen lanes of values at 0 to n-1 until a later chunk was made, sixteen of coefficients from then on.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Encoder {
    #[prost(uint32, tag = "1")]
    pub(super) next_chunk: u32,
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub(super) values: Vec<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "3")]
    pub(super) coefficients: Vec<Vec<u8>>,
}

/// Sixteen lanes of pairs: chunk number[2] and element[2], numbers ascending and the same in all lanes.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Decoder {
    #[prost(bytes = "vec", repeated, tag = "3")]
    pub(super) lanes: Vec<Vec<u8>>,
}

impl Drop for Start {
    fn drop(&mut self) {
        self.auth_key.zeroize();
    }
}

impl Drop for Chains {
    fn drop(&mut self) {
        self.next_root.zeroize();
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        self.next.zeroize();
        self.kept.zeroize();
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        self.third.zeroize();
        self.fourth.zeroize();
    }
}

impl Drop for Authenticator {
    fn drop(&mut self) {
        self.root.zeroize();
        self.mac_key.zeroize();
    }
}
