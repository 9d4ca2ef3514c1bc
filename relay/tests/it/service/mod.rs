//! Spec §17.10 to §17.16: what sessions answer and push, without a transport.
mod between;
mod blobs;
mod desk;
mod fan_outs;
mod interleavings;
mod rates;
mod refused;
mod registers;
mod requests;
mod subscription;
