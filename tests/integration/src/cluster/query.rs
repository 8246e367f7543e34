//! What the listing commands say with `--json`, read back: one object with a list in it, or an object a line.

use serde_json::Value;

/// The rows of an answer: the list called `what` in its one object, or the objects of its lines.
///
/// # Panics
/// When it is neither.
#[must_use]
pub fn rows(text: &str, what: &str) -> Vec<Value> {
    let values: Vec<Value> = serde_json::Deserializer::from_str(text)
        .into_iter()
        .collect::<Result<_, _>>()
        .unwrap_or_else(|e| panic!("not JSON: {e}: {text}"));
    match &values[..] {
        [Value::Array(rows)] => rows.clone(),
        [one] if one[what].is_array() => one[what].as_array().unwrap().clone(),
        _ => values,
    }
}

/// A field, as text without quotation marks.
#[must_use]
pub fn field(row: &Value, name: &str) -> String {
    match &row[name] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_in_each_form() {
        let row = serde_json::json!({"name": "n1", "cores": 4});
        for text in [
            r#"[{"name":"n1","cores":4}]"#,
            r#"{"v":1,"nodes":[{"name":"n1","cores":4}]}"#,
            r#"{"name":"n1","cores":4}"#,
        ] {
            assert_eq!(rows(text, "nodes"), std::slice::from_ref(&row));
        }
        assert!(rows("", "nodes").is_empty() && rows("[]", "nodes").is_empty());
        assert_eq!((field(&row, "name"), field(&row, "cores")), ("n1".into(), "4".into()));
    }
}
