//! Reading and writing fields of fixed size, big-endian.

use alloc::vec::Vec;

use zeroize::Zeroizing;

use super::super::error::RecordError;
use super::VERSION;

/// Appends fields to a record. The capacity is given up front so that no secret is left behind by growing.
pub(crate) struct Writer(Zeroizing<Vec<u8>>);

impl Writer {
    pub(crate) fn new(capacity: usize) -> Self {
        Self::with_version(VERSION, capacity)
    }

    pub(crate) fn with_version(version: u8, capacity: usize) -> Self {
        let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
        bytes.push(version);
        Self(bytes)
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.bytes(&value.to_be_bytes());
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.bytes(&value.to_be_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.bytes(&value.to_be_bytes());
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn finish(self) -> Zeroizing<Vec<u8>> {
        self.0
    }
}

/// Takes fields off a record.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(record: &'a [u8]) -> Result<Self, RecordError> {
        Self::with_version(VERSION, record)
    }

    pub(crate) fn with_version(version: u8, record: &'a [u8]) -> Result<Self, RecordError> {
        match record.split_first() {
            Some((&got, rest)) if got == version => Ok(Self(rest)),
            Some((&got, _)) => Err(RecordError::Version { got }),
            None => Err(RecordError::Malformed),
        }
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], RecordError> {
        let (field, rest) = self.0.split_first_chunk::<N>().ok_or(RecordError::Malformed)?;
        self.0 = rest;
        Ok(field)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, RecordError> {
        let [value] = *self.array::<1>()?;
        Ok(value)
    }

    /// 0 or 1.
    pub(crate) fn flag(&mut self) -> Result<bool, RecordError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(RecordError::Malformed),
        }
    }

    pub(crate) fn u16(&mut self) -> Result<u16, RecordError> {
        self.array().map(|bytes| u16::from_be_bytes(*bytes))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, RecordError> {
        self.array().map(|bytes| u32::from_be_bytes(*bytes))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, RecordError> {
        self.array().map(|bytes| u64::from_be_bytes(*bytes))
    }

    /// Nothing may be left over.
    pub(crate) fn finish(self) -> Result<(), RecordError> {
        if self.0.is_empty() { Ok(()) } else { Err(RecordError::Malformed) }
    }
}
