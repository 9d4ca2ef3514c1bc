//! Futures that never wait, as those of a store in memory.
use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

pub fn result<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("a store in memory never waits"),
    }
}
