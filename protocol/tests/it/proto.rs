//! Protobuf's wire format in a page, written from its encoding guide: the witness that the crate's formats are compared
//! with, and the tool that spoils messages field by field. It shares no code with prost.

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Value {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(Vec<u8>),
    Group(Vec<Field>),
    Fixed32([u8; 4]),
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Field {
    pub number: u32,
    pub value: Value,
}

pub fn varint(number: u32, value: impl Into<u64>) -> Field {
    Field { number, value: Value::Varint(value.into()) }
}

pub fn bytes(number: u32, value: impl AsRef<[u8]>) -> Field {
    Field { number, value: Value::Bytes(value.as_ref().to_vec()) }
}

/// Canonically: minimal varints, fields in the order given.
pub fn write(fields: &[Field]) -> Vec<u8> {
    let mut output = Vec::new();
    for Field { number, value } in fields {
        let key = |wire_type: u64| u64::from(*number) << 3 | wire_type;
        match value {
            Value::Varint(value) => {
                write_varint(&mut output, key(0));
                write_varint(&mut output, *value);
            }
            Value::Fixed64(value) => {
                write_varint(&mut output, key(1));
                output.extend(value);
            }
            Value::Bytes(value) => {
                write_varint(&mut output, key(2));
                write_varint(&mut output, value.len() as u64);
                output.extend(value);
            }
            Value::Group(fields) => {
                write_varint(&mut output, key(3));
                output.extend(write(fields));
                write_varint(&mut output, key(4));
            }
            Value::Fixed32(value) => {
                write_varint(&mut output, key(5));
                output.extend(value);
            }
        }
    }
    output
}

fn write_varint(output: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        output.push(value as u8 | 0x80);
        value >>= 7;
    }
    output.push(value as u8);
}

/// All fields in order; none if it is no protobuf.
pub fn read(mut input: &[u8]) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    while !input.is_empty() {
        fields.push(read_field(&mut input)?.ok()?);
    }
    Some(fields)
}

/// A field, or the number of a group that ends here.
fn read_field(input: &mut &[u8]) -> Option<Result<Field, u32>> {
    let key = u32::try_from(read_varint(input)?).ok()?;
    let number = key >> 3;
    if number == 0 {
        return None;
    }
    let value = match key & 7 {
        0 => Value::Varint(read_varint(input)?),
        1 => Value::Fixed64(take(input, 8)?.try_into().ok()?),
        2 => {
            let len = read_varint(input)?;
            Value::Bytes(take(input, usize::try_from(len).ok()?)?.to_vec())
        }
        3 => {
            let mut fields = Vec::new();
            loop {
                match read_field(input)? {
                    Ok(field) => fields.push(field),
                    Err(end) if end == number => break Value::Group(fields),
                    Err(_) => return None,
                }
            }
        }
        4 => return Some(Err(number)),
        5 => Value::Fixed32(take(input, 4)?.try_into().ok()?),
        _ => return None,
    };
    Some(Ok(Field { number, value }))
}

fn take<'a>(input: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (head, tail) = input.split_at_checked(len)?;
    *input = tail;
    Some(head)
}

fn read_varint(input: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..70).step_by(7) {
        let [byte] = take(input, 1)? else { return None };
        if shift == 63 && *byte > 1 {
            return None;
        }
        value |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// The value of a field that is repeated: the last counts.
pub fn last(fields: &[Field], number: u32) -> Option<&Value> {
    fields.iter().rev().find(|field| field.number == number).map(|field| &field.value)
}

pub fn last_bytes(fields: &[Field], number: u32) -> &[u8] {
    match last(fields, number) {
        Some(Value::Bytes(value)) => value,
        other => panic!("field {number} is {other:?}"),
    }
}

/// `fields` with every occurrence of `number` replaced.
pub fn with(fields: &[Field], number: u32, value: &Value) -> Vec<Field> {
    let replace = |field: &Field| {
        if field.number == number { Field { number, value: value.clone() } } else { field.clone() }
    };
    fields.iter().map(replace).collect()
}

pub fn without(fields: &[Field], numbers: &[u32]) -> Vec<Field> {
    fields.iter().filter(|field| !numbers.contains(&field.number)).cloned().collect()
}

/// A message as its frame splits it: version byte, fields, and what follows the protobuf.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Framed {
    pub version: u8,
    pub fields: Vec<Field>,
    pub trailer: Vec<u8>,
}

impl Framed {
    /// `trailer` is 0 for a `PreKeySignalMessage`, 8 for a `SignalMessage`, 64 for a `SenderKeyMessage`.
    pub fn read(bytes: &[u8], trailer: usize) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        let (body, trailer) = rest.split_at_checked(rest.len().checked_sub(trailer)?)?;
        Some(Self { version: *version, fields: read(body)?, trailer: trailer.to_vec() })
    }

    pub fn write(&self) -> Vec<u8> {
        [&[self.version][..], &write(&self.fields), &self.trailer].concat()
    }

    pub fn with(&self, number: u32, value: impl AsRef<[u8]>) -> Self {
        let value = Value::Bytes(value.as_ref().to_vec());
        Self { fields: with(&self.fields, number, &value), ..self.clone() }
    }

    pub fn with_varint(&self, number: u32, value: u32) -> Self {
        Self { fields: with(&self.fields, number, &Value::Varint(value.into())), ..self.clone() }
    }

    pub fn without(&self, numbers: &[u32]) -> Self {
        Self { fields: without(&self.fields, numbers), ..self.clone() }
    }
}
