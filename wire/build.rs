//! Compiles `proto/*.proto` with protox (no `protoc`), and writes beside prost's types the tables that the scanner
//! (`src/canonical.rs`, spec §10.4) walks: field numbers, kinds and the ceilings declared with `proto/options.proto`.
use std::{collections::BTreeMap, env, error::Error, fmt::Write as _, fs, path::PathBuf};

use prost_reflect::{
    Cardinality, DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage as _, Value,
};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let mut files = Vec::new();
    for entry in fs::read_dir("proto")? {
        let name = entry?.file_name().into_string().map_err(|_| "a file name in proto/ is not UTF-8")?;
        if name.ends_with(".proto") && name != "options.proto" {
            files.push(name);
        }
    }
    files.sort();
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true).open_files(&files)?;
    let mut set = compiler.file_descriptor_set();
    set.file.retain(|file| files.iter().any(|name| name == file.name()));
    // prost-build takes proto3's default of packed numbers only where a field has no options at all; ours have ceilings.
    for field in set.file.iter_mut().flat_map(|file| &mut file.message_type).flat_map(|message| &mut message.field) {
        if field.label == Some(LABEL_REPEATED) && field.r#type.is_some_and(|kind| NUMBERS.contains(&kind)) {
            field.options.get_or_insert_default().packed = Some(true);
        }
    }
    prost_build::Config::new().compile_fds(set)?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("proto.rs"), modules(&compiler.descriptor_pool(), &files)?)?;
    Ok(())
}

/// One module per .proto file: prost's types, their tables in `schema`, and the link from type to table.
fn modules(pool: &DescriptorPool, files: &[String]) -> Result<String, Box<dyn Error>> {
    let mut code = String::new();
    for name in files {
        let file = pool.get_file_by_name(name).ok_or("a compiled file is not in the pool")?;
        let package = file.package_name();
        let module = package.strip_prefix("waxwing.").ok_or("packages are named waxwing.<module>")?;
        writeln!(code, "pub(crate) mod {module} {{")?;
        writeln!(code, "include!(concat!(env!(\"OUT_DIR\"), \"/{package}.rs\"));")?;
        let mut tables = String::new();
        for message in file.messages() {
            if message.child_messages().next().is_some() {
                return Err(format!("{}: nested and map types are not used", message.full_name()).into());
            }
            writeln!(tables, "{}", table(&message)?)?;
            writeln!(
                code,
                "impl crate::canonical::Described for {} {{ const SCHEMA: &'static crate::canonical::Schema = &schema::{}; }}",
                message.name(),
                shout(message.name())
            )?;
        }
        writeln!(code, "pub(crate) mod schema {{ use crate::canonical::{{Field, Kind, Presence, Schema}};")?;
        writeln!(code, "{tables}}} }}")?;
    }
    Ok(code)
}

fn table(message: &MessageDescriptor) -> Result<String, Box<dyn Error>> {
    let size = number(&message.options(), "waxwing.options.size").unwrap_or(u64::from(u32::MAX));
    let mut fields = BTreeMap::new();
    for field in message.fields() {
        fields.insert(field.number(), row(&field)?);
    }
    if message.oneofs().len() > 64 {
        return Err(format!("{}: at most 64 choices", message.full_name()).into());
    }
    let rows: String = fields.into_values().collect();
    let name = message.name();
    Ok(format!(
        "pub(crate) static {}: Schema = Schema {{ name: {name:?}, size: {size}, fields: &[{rows}] }};",
        shout(name)
    ))
}

fn row(field: &FieldDescriptor) -> Result<String, Box<dyn Error>> {
    let options = field.options();
    let option = |name: &str| number(&options, &format!("waxwing.options.{name}"));
    let max = option("max").unwrap_or(u64::from(u32::MAX));
    let kind = match field.kind() {
        Kind::Bool => "Kind::Varint { top: 1 }".to_owned(),
        Kind::Uint32 => format!("Kind::Varint {{ top: {} }}", option("top").unwrap_or(u64::from(u32::MAX))),
        Kind::Uint64 => format!("Kind::Varint {{ top: {} }}", option("top").unwrap_or(u64::MAX)),
        Kind::Bytes => match option("len") {
            Some(len) => format!("Kind::Bytes {{ min: {len}, max: {len} }}"),
            None => format!("Kind::Bytes {{ min: 0, max: {max} }}"),
        },
        Kind::String => format!("Kind::Text {{ max: {max} }}"),
        Kind::Message(of) => {
            let package = of.package_name().strip_prefix("waxwing.").unwrap_or_default().to_owned();
            format!("Kind::Message {{ max: {max}, schema: &super::super::{package}::schema::{} }}", shout(of.name()))
        }
        other => return Err(format!("{}: {other:?} is not used on our wire", field.full_name()).into()),
    };
    let oneof = field.containing_oneof().filter(|oneof| !is_synthetic(oneof));
    let required = option("required").is_some_and(|value| value == 1);
    let presence = match (field.cardinality(), oneof) {
        (Cardinality::Repeated, _) => {
            let count =
                option("count").ok_or_else(|| format!("{}: a repeated field has a count", field.full_name()))?;
            format!("Presence::Repeated {{ count: {count} }}")
        }
        (_, Some(oneof)) => {
            let group =
                field.parent_message().oneofs().position(|other| other == oneof).ok_or("a oneof of no message")?;
            format!("Presence::OneOf {{ group: {group} }}")
        }
        _ if !field.supports_presence() && (required || option("len").is_some()) => "Presence::Required".to_owned(),
        _ if !field.supports_presence() => "Presence::Implicit".to_owned(),
        _ if required => "Presence::RequiredExplicit".to_owned(),
        _ => "Presence::Explicit".to_owned(),
    };
    Ok(format!("Field {{ number: {}, kind: {kind}, presence: {presence} }},", field.number()))
}

/// A `oneof` that protoc invents around a proto3 `optional` field.
fn is_synthetic(oneof: &prost_reflect::OneofDescriptor) -> bool {
    oneof.name().starts_with('_') && oneof.fields().len() == 1
}

fn number(options: &DynamicMessage, name: &str) -> Option<u64> {
    let extension = options.descriptor().parent_pool().get_extension_by_name(name)?;
    if !options.has_extension(&extension) {
        return None;
    }
    match options.get_extension(&extension).into_owned() {
        Value::U32(value) => Some(u64::from(value)),
        Value::U64(value) => Some(value),
        Value::Bool(value) => Some(u64::from(value)),
        _ => None,
    }
}

/// `ManifestBody` becomes `MANIFEST_BODY`.
fn shout(name: &str) -> String {
    let mut shouted = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !shouted.is_empty() {
            shouted.push('_');
        }
        shouted.push(letter.to_ascii_uppercase());
    }
    shouted
}

/// `FieldDescriptorProto.Label` and `.Type` in google/protobuf/descriptor.proto: repeated; uint64, bool, uint32.
const LABEL_REPEATED: i32 = 3;
const NUMBERS: [i32; 3] = [4, 8, 13];
