//! Holds real requests and replies to the OpenAPI document: enough of JSON Schema for what the document uses, and a
//! failure for what it doesn't know.

use serde_json::{Map, Value};

/// The document.
pub(crate) struct Spec(Value);

impl Spec {
    pub(crate) fn load() -> Self {
        let text = include_str!("../../src/transport/http/openapi.json");
        Self(serde_json::from_str(text).unwrap())
    }

    /// Checks one call. A path that the document doesn't have must be answered with a problem.
    pub(crate) fn check(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        (status, media_type, reply): (u16, &str, &Value),
    ) {
        let Some(operation) = self.operation(method, path) else {
            let schema = &self.0["components"]["schemas"]["Problem"];
            return self.valid(schema, reply, "problem");
        };
        if let Some(body) = body.filter(|_| status < 300) {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            assert!(!schema.is_null(), "{method} {path} takes no body");
            self.valid(schema, body, "body");
        }
        let responses = &operation["responses"];
        let response = match &responses[status.to_string()] {
            Value::Null if status >= 400 => &responses["default"],
            response => response,
        };
        let response = self.resolve(response);
        let schema = &response["content"][media_type]["schema"];
        assert!(
            !schema.is_null(),
            "{method} {path}: {status} with {media_type} is not documented"
        );
        self.valid(schema, reply, "reply");
    }

    fn operation(&self, method: &str, path: &str) -> Option<&Value> {
        let path = path.split('?').next().unwrap();
        let given: Vec<_> = path.split('/').collect();
        let matches = |template: &str| {
            let parts: Vec<_> = template.split('/').collect();
            let same = |(part, given): (&&str, &&str)| part == given || part.starts_with('{');
            parts.len() == given.len() && parts.iter().zip(&given).all(same)
        };
        let paths = self.0["paths"].as_object().unwrap();
        // A literal path goes before a template.
        let item = paths
            .get(path)
            .or_else(|| paths.iter().find(|(t, _)| matches(t)).map(|(_, item)| item))?;
        item.get(method.to_lowercase())
    }

    fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        match schema["$ref"].as_str() {
            None => schema,
            Some(reference) => {
                let pointer = reference.strip_prefix('#').unwrap();
                self.0
                    .pointer(pointer)
                    .unwrap_or_else(|| panic!("{reference} is nowhere"))
            }
        }
    }

    fn valid(&self, schema: &Value, value: &Value, at: &str) {
        if let Err(problem) = self.check_value(schema, value, at) {
            panic!("{problem}; in {value}");
        }
    }

    fn check_value(&self, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        let schema = self.resolve(schema).as_object().unwrap();
        if let Some(choices) = schema.get("oneOf") {
            let fits = |s: &&Value| self.check_value(s, value, at).is_ok();
            let fitting = choices.as_array().unwrap().iter().filter(fits).count();
            return (fitting == 1)
                .then_some(())
                .ok_or(format!("{at} fits {fitting} of oneOf"));
        }
        if let Some(types) = schema.get("type") {
            let is = |name: &Value| is_type(name.as_str().unwrap(), value);
            let fits = types
                .as_array()
                .map_or_else(|| is(types), |a| a.iter().any(is));
            if !fits {
                return Err(format!("{at} is not of type {types}"));
            }
        }
        if let Some(allowed) = schema.get("enum")
            && !allowed.as_array().unwrap().contains(value)
        {
            return Err(format!("{at} is not one of {allowed}"));
        }
        match value {
            Value::Object(fields) => self.check_object(schema, fields, at),
            Value::Array(items) => items.iter().enumerate().try_for_each(|(n, item)| {
                self.check_value(&schema["items"], item, &format!("{at}[{n}]"))
            }),
            _ => Ok(()),
        }
    }

    fn check_object(
        &self,
        schema: &Map<String, Value>,
        fields: &Map<String, Value>,
        at: &str,
    ) -> Result<(), String> {
        let required = schema.get("required").and_then(Value::as_array);
        for name in required.into_iter().flatten() {
            if !fields.contains_key(name.as_str().unwrap()) {
                return Err(format!("{at} lacks {name}"));
            }
        }
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, value) in fields {
            let at = format!("{at}.{name}");
            match (
                properties.and_then(|p| p.get(name)),
                schema.get("additionalProperties"),
            ) {
                (Some(property), _) => self.check_value(property, value, &at)?,
                (None, Some(Value::Bool(false))) => return Err(format!("{at} is not documented")),
                (None, Some(rest)) => self.check_value(rest, value, &at)?,
                (None, None) => {}
            }
        }
        Ok(())
    }
}

fn is_type(name: &str, value: &Value) -> bool {
    match name {
        "string" => value.is_string(),
        "integer" => value.is_u64(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        other => panic!("the checker doesn't know type {other}"),
    }
}
