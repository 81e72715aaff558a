//! A kept topology as plain data, in the form that serde gives it in JSON.
//!
//! Written by hand and read by serde: the core makes a `Topology` of nothing else, and trusts
//! nothing in it. So what `topology()` returns may go through `JSON.stringify`, storage and back.

use js_sys::{Array, Object, Reflect};
use serde::de::value::{MapDeserializer, SeqDeserializer, StringDeserializer};
use serde::de::{Deserialize, Deserializer, Error as _, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;
use slotcar_core::config::ConfigError;
use slotcar_core::{Error, ReportedHealth, Topology, TopologyNode, TopologyShard};
use wasm_bindgen::{JsCast, JsValue};

/// What an error of serde says, and nothing more.
type ReadError = serde::de::value::Error;

/// The topology as objects and arrays.
pub(crate) fn to_js(topology: &Topology) -> JsValue {
    let known = Object::new();
    set(&known, "version", topology.version);
    if let Some(age) = topology.age {
        let parts = Object::new();
        set(&parts, "secs", age.as_secs() as f64);
        set(&parts, "nanos", age.subsec_nanos());
        set(&known, "age", parts);
    }
    set(&known, "shards", topology.shards.iter().map(shard).collect::<Array>());
    set(&known, "idle", topology.idle.iter().map(node).collect::<Array>());
    known.into()
}

fn shard(shard: &TopologyShard) -> Object {
    let object = Object::new();
    let slots = shard
        .slots
        .iter()
        .map(|range| Array::of2(&range.start().number().into(), &range.end().number().into()));
    set(&object, "slots", slots.collect::<Array>());
    if let Some(epoch) = shard.epoch {
        set(&object, "epoch", epoch as f64);
    }
    set(&object, "primary", node(&shard.primary));
    set(&object, "replicas", shard.replicas.iter().map(node).collect::<Array>());
    object
}

fn node(node: &TopologyNode) -> Object {
    let object = Object::new();
    set(&object, "id", node.id.as_str());
    if let Some(endpoint) = &node.endpoint {
        set(&object, "endpoint", endpoint.to_string());
    }
    if let Some(zone) = &node.zone {
        set(&object, "zone", zone.as_str());
    }
    let health = match node.health {
        ReportedHealth::Online => "online",
        ReportedHealth::Loading => "loading",
        ReportedHealth::Suspected => "suspected",
        ReportedHealth::Failed => "failed",
        _ => return object,
    };
    set(&object, "health", health);
    object
}

fn set(object: &Object, name: &str, value: impl Into<JsValue>) {
    // An object of our own has no setter that could fail.
    let _ = Reflect::set(object, &name.into(), &value.into());
}

/// The topology that `topology()` gave to an earlier client.
///
/// # Errors
/// `Config` for anything else.
pub(crate) fn from_js(value: &JsValue) -> Result<Topology, Error> {
    Topology::deserialize(Node(value.clone())).map_err(|error| {
        let value = error.to_string();
        let allowed = "what `topology()` of an earlier client returned".into();
        ConfigError::InvalidValue { key: "topology", value, allowed }.into()
    })
}

/// A JavaScript value that serde reads.
struct Node(JsValue);

impl IntoDeserializer<'_, ReadError> for Node {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Node {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        let Self(value) = self;
        if let Some(text) = value.as_string() {
            return visitor.visit_string(text);
        }
        if let Some(number) = value.as_f64() {
            return match number {
                whole if whole.fract() == 0.0 && whole >= 0.0 => visitor.visit_u64(whole as u64),
                other => visitor.visit_f64(other),
            };
        }
        if let Some(list) = value.dyn_ref::<Array>() {
            return visitor.visit_seq(SeqDeserializer::new(list.iter().map(Self)));
        }
        let Some(object) = value.dyn_ref::<Object>() else {
            return Err(ReadError::custom("it holds neither text, number, list nor object"));
        };
        let entries = Object::entries(object);
        let entries = entries.iter().map(|entry| {
            let entry = Array::from(&entry);
            (entry.get(0).as_string().unwrap_or_default(), Self(entry.get(1)))
        });
        visitor.visit_map(MapDeserializer::new(entries))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        if self.0.is_null() || self.0.is_undefined() {
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        let text: StringDeserializer<ReadError> =
            self.0.as_string().unwrap_or_default().into_deserializer();
        text.deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}
