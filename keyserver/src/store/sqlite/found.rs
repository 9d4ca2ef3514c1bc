//! What a fetch found, as it crosses from the database's thread: all its bytes in one piece of memory.
//!
//! Memory that one thread takes and another gives back costs both of them a lock for each piece.
use rusqlite::{Error, Row, types::Type};
use waxwing_wire::{
    id::DeviceId,
    keyserver::{AccountObjects, Bundle, Bundles},
};

/// Bundles before they are taken apart.
pub(super) struct Found {
    pub(super) recovery_key: [u8; 32],
    pub(super) statement: Piece,
    pub(super) manifest: Piece,
    pub(super) bundles: Vec<FoundBundle>,
    pub(super) bytes: Bytes,
}

pub(super) struct FoundBundle {
    pub(super) device: DeviceId,
    pub(super) signed: Piece,
    pub(super) one_time: Option<Piece>,
    pub(super) kyber: Piece,
    pub(super) last_resort: bool,
}

/// Columns, one after another.
pub(super) struct Bytes(Vec<u8>);

/// Where one of them begins and ends.
#[derive(Clone, Copy)]
pub(super) struct Piece(usize, usize);

impl Found {
    pub(super) fn unpack(self) -> Bundles {
        let Self { recovery_key, statement, manifest, bundles, bytes } = self;
        let account =
            AccountObjects { recovery_key, statement: bytes.piece(statement), manifest: bytes.piece(manifest) };
        let bundles = bundles.into_iter().map(|found| {
            let FoundBundle { device, signed, one_time, kyber, last_resort } = found;
            let one_time = one_time.map(|piece| bytes.piece(piece));
            Bundle { device, signed: bytes.piece(signed), one_time, kyber: bytes.piece(kyber), last_resort }
        });
        Bundles { account, bundles: bundles.collect() }
    }
}

impl Default for Bytes {
    fn default() -> Self {
        Self(Vec::with_capacity(USUAL))
    }
}

impl Bytes {
    /// # Errors
    /// The column holds no bytes.
    pub(super) fn add(&mut self, row: &Row<'_>, column: usize) -> Result<Piece, Error> {
        let none = || Error::InvalidColumnType(column, String::new(), Type::Null);
        self.add_some(row, column)?.ok_or_else(none)
    }

    /// None: there is nothing in the column.
    ///
    /// # Errors
    /// It holds something else than bytes.
    pub(super) fn add_some(&mut self, row: &Row<'_>, column: usize) -> Result<Option<Piece>, Error> {
        let value = row.get_ref(column)?;
        let wrong = |_| Error::InvalidColumnType(column, String::new(), value.data_type());
        Ok(value.as_blob_or_null().map_err(wrong)?.map(|blob| {
            let begin = self.0.len();
            self.0.extend_from_slice(blob);
            Piece(begin, self.0.len())
        }))
    }

    fn piece(&self, Piece(begin, end): Piece) -> Vec<u8> {
        // A place was given out for bytes that were added before, and nothing is taken away.
        self.0.get(begin..end).unwrap_or_default().to_vec()
    }
}

/// What three devices come to.
const USUAL: usize = 9_216;
