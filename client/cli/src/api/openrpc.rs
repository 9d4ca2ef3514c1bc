//! The `OpenRPC` document, from the table. Implements spec/22-client-api.md §22.2.
use schemars::{Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Value, json};

use super::{Code, Entry, Method, VERSION};

/// What programs are given to generate their side from (<https://spec.open-rpc.org>).
#[must_use]
pub fn document() -> Value {
    let mut generator =
        SchemaSettings::draft07().with(|settings| settings.definitions_path = "/components/schemas".into());
    generator.meta_schema = None;
    let mut generator = generator.into_generator();
    let methods: Vec<Value> = Method::ALL.iter().map(|entry| method(entry, &mut generator)).collect();
    let schemas = generator.take_definitions(true);
    let errors: Vec<Value> = Code::ALL
        .iter()
        .map(|code| json!({ "code": code.number(), "message": code.meaning(), "data": { "name": code.name() } }))
        .collect();
    json!({
        "openrpc": "1.3.2",
        "info": {
            "title": "Waxwing's machine API",
            "version": format!("{VERSION}.0.0"),
            "description": "JSON-RPC 2.0, one JSON a line, over a profile's daemon.sock or `waxwing rpc`'s standard input and \
                            output. Parameters go by name.",
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "methods": methods,
        "components": { "schemas": schemas, "x-errors": errors },
    })
}

fn method(entry: &Entry, generator: &mut SchemaGenerator) -> Value {
    let params = resolve(&(entry.params_schema)(generator), generator);
    let required = params.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    let properties = params.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    let params: Vec<Value> = properties
        .into_iter()
        .map(|(name, schema)| json!({ "name": name, "required": required.contains(&json!(name)), "schema": schema }))
        .collect();
    let answer = (entry.answer_schema)(generator);
    json!({
        "name": entry.name,
        "summary": entry.summary,
        "paramStructure": "by-name",
        "params": params,
        "result": {
            "name": "answer",
            "schema": { "allOf": [answer, { "type": "object", "properties": { "version": { "const": VERSION } } }] },
        },
    })
}

/// What a reference leads to.
fn resolve(schema: &Schema, generator: &SchemaGenerator) -> Value {
    let value = schema.as_value();
    let name = value.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next());
    name.and_then(|name| generator.definitions().get(name)).unwrap_or(value).clone()
}
