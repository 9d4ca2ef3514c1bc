//! A store that lets others go first at every call, as a seed says, and writes down what it is asked.
use std::sync::{Arc, Mutex};

use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng as _, SeedableRng as _},
};
use waxwing_relay::store::{
    AckError, Admitted, BlobCreateError, BlobError, BlobReadError, BlobWriteError, Blobs, Commit, CreateError,
    LaneError, MailboxError, NewBlob, NewEnvelope, NewFanOut, NewMailbox, NewRegister, PutError, RegisterCreateError,
    RegisterError, RegisterWriteError, Registers, Stats, Store, StoredEnvelope, Unavailable, WatchError, Watched,
    Watcher,
};
use waxwing_wire::{
    id::{BlobId, MailboxId, RegisterId},
    relay::{
        Ack, AddLane, BlobState, Capability, EndLane, LaneNumber, MailboxState, RegisterHead, RegisterPage, RotateLane,
        TransferBlob, WriteRegister,
    },
    time::Timestamp,
};

/// Clones are the same store.
#[derive(Clone)]
pub(super) struct Between<S> {
    inner: S,
    state: Arc<Mutex<State>>,
}

struct State {
    rng: ChaCha20Rng,
    most: u32,
    calls: Vec<&'static str>,
}

impl<S: Store> Between<S> {
    /// Others go first up to `most` times before and after each call.
    pub(super) fn new(inner: S, seed: u64, most: u32) -> Self {
        let state = State { rng: ChaCha20Rng::seed_from_u64(seed), most, calls: Vec::new() };
        Self { inner, state: Arc::new(Mutex::new(state)) }
    }

    /// What was asked since the last look.
    pub(super) fn calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.state.lock().unwrap().calls)
    }

    fn note(&self, call: &'static str) {
        self.state.lock().unwrap().calls.push(call);
    }

    async fn others(&self) {
        let times = {
            let mut state = self.state.lock().unwrap();
            let most = state.most;
            state.rng.next_u32() % (most + 1)
        };
        for _ in 0..times {
            tokio::task::yield_now().await;
        }
    }

    async fn around<T>(&self, call: &'static str, work: impl Future<Output = T> + Send) -> T {
        self.note(call);
        self.others().await;
        let outcome = work.await;
        self.others().await;
        outcome
    }
}

impl<S: Store> Registers for Between<S> {
    async fn create_register(&self, new: NewRegister, now: Timestamp) -> Result<(), RegisterCreateError> {
        self.around("create_register", self.inner.create_register(new, now)).await
    }

    async fn write_register(&self, write: &WriteRegister, now: Timestamp) -> Result<RegisterHead, RegisterWriteError> {
        self.around("write_register", self.inner.write_register(write, now)).await
    }

    async fn read_register(
        &self,
        register: &RegisterId,
        capability: &Capability,
        from: u64,
    ) -> Result<RegisterPage, RegisterError> {
        self.around("read_register", self.inner.read_register(register, capability, from)).await
    }

    fn register_head(&self, register: &RegisterId, capability: &Capability) -> Result<RegisterHead, RegisterError> {
        self.note("register_head");
        self.inner.register_head(register, capability)
    }

    async fn await_register(
        &self,
        register: &RegisterId,
        capability: &Capability,
        after: u64,
    ) -> Result<RegisterHead, RegisterError> {
        self.around("await_register", self.inner.await_register(register, capability, after)).await
    }

    async fn delete_register(&self, register: &RegisterId, capability: &Capability) -> Result<(), RegisterError> {
        self.around("delete_register", self.inner.delete_register(register, capability)).await
    }
}

/// Not delayed: the schedules are of mailboxes.
impl<S: Store> Blobs for Between<S> {
    type Upload = S::Upload;
    type Download = S::Download;

    async fn create_blob(&self, new: NewBlob, now: Timestamp) -> Result<BlobState, BlobCreateError> {
        self.inner.create_blob(new, now).await
    }

    fn blob_state(&self, blob: &BlobId, capability: &Capability, now: Timestamp) -> Result<BlobState, BlobError> {
        self.inner.blob_state(blob, capability, now)
    }

    async fn write_blob(&self, transfer: &TransferBlob, now: Timestamp) -> Result<S::Upload, BlobWriteError> {
        self.inner.write_blob(transfer, now).await
    }

    async fn read_blob(
        &self,
        transfer: &TransferBlob,
        now: Timestamp,
    ) -> Result<(BlobState, S::Download), BlobReadError> {
        self.inner.read_blob(transfer, now).await
    }

    async fn delete_blob(&self, blob: &BlobId, capability: &Capability, now: Timestamp) -> Result<(), BlobError> {
        self.inner.delete_blob(blob, capability, now).await
    }
}

impl<S: Store> Store for Between<S> {
    async fn create_mailbox(&self, mailbox: NewMailbox, now: Timestamp) -> Result<(), CreateError> {
        self.around("create_mailbox", self.inner.create_mailbox(mailbox, now)).await
    }

    async fn add_invite(&self, hash: [u8; 32]) -> Result<(), Unavailable> {
        self.around("add_invite", self.inner.add_invite(hash)).await
    }

    fn stats(&self) -> Stats {
        self.inner.stats()
    }

    async fn probe(&self) -> Result<(), Unavailable> {
        self.around("probe", self.inner.probe()).await
    }

    fn owner_key(&self, mailbox: &MailboxId) -> Option<[u8; 32]> {
        self.note("owner_key");
        self.inner.owner_key(mailbox)
    }

    async fn add_lane(&self, mailbox: &MailboxId, lane: AddLane, now: Timestamp) -> Result<LaneNumber, LaneError> {
        self.around("add_lane", self.inner.add_lane(mailbox, lane, now)).await
    }

    async fn rotate_lane(
        &self,
        mailbox: &MailboxId,
        lane: RotateLane,
        now: Timestamp,
    ) -> Result<LaneNumber, LaneError> {
        self.around("rotate_lane", self.inner.rotate_lane(mailbox, lane, now)).await
    }

    async fn end_lane(&self, mailbox: &MailboxId, lane: EndLane, now: Timestamp) -> Result<(), LaneError> {
        self.around("end_lane", self.inner.end_lane(mailbox, lane, now)).await
    }

    async fn state(&self, mailbox: &MailboxId, now: Timestamp) -> Result<MailboxState, MailboxError> {
        self.around("state", self.inner.state(mailbox, now)).await
    }

    async fn close_mailbox(&self, mailbox: &MailboxId, hash: [u8; 32], now: Timestamp) -> Result<(), MailboxError> {
        self.around("close_mailbox", self.inner.close_mailbox(mailbox, hash, now)).await
    }

    async fn delete_mailbox(&self, mailbox: &MailboxId, now: Timestamp) -> Result<(), MailboxError> {
        self.around("delete_mailbox", self.inner.delete_mailbox(mailbox, now)).await
    }

    async fn put(&self, envelope: NewEnvelope, now: Timestamp) -> Result<Admitted, PutError> {
        self.around("put", self.inner.put(envelope, now)).await
    }

    async fn fan_out(
        &self,
        fan_out: NewFanOut,
        now: Timestamp,
    ) -> Result<Vec<Result<Admitted, PutError>>, Unavailable> {
        self.around("fan_out", self.inner.fan_out(fan_out, now)).await
    }

    fn put_online(&self, envelope: NewEnvelope, now: Timestamp) -> Result<(), PutError> {
        self.note("put_online");
        self.inner.put_online(envelope, now)
    }

    async fn watch(
        &self,
        mailbox: &MailboxId,
        after: u64,
        watcher: Arc<dyn Watcher>,
        now: Timestamp,
    ) -> Result<Watched, WatchError> {
        self.around("watch", self.inner.watch(mailbox, after, watcher, now)).await
    }

    fn unwatch(&self, mailbox: &MailboxId, watcher: &Arc<dyn Watcher>) {
        self.note("unwatch");
        self.inner.unwatch(mailbox, watcher);
    }

    async fn read(
        &self,
        mailbox: &MailboxId,
        after: u64,
        up_to: u64,
        most: u32,
        now: Timestamp,
    ) -> Result<Vec<StoredEnvelope>, MailboxError> {
        self.around("read", self.inner.read(mailbox, after, up_to, most, now)).await
    }

    async fn ack(&self, mailbox: &MailboxId, ack: &Ack, now: Timestamp) -> Result<Commit, AckError> {
        self.around("ack", self.inner.ack(mailbox, ack, now)).await
    }

    async fn expire(&self, now: Timestamp) -> Result<bool, Unavailable> {
        self.around("expire", self.inner.expire(now)).await
    }
}
