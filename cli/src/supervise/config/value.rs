//! Values of TOML as text, in messages and where a number is as good as a string.

use std::fmt::Display;

use toml::de::DeValue;

/// Most characters of a value that a message repeats.
const SHOWN: usize = 60;

/// A number as it is written in decimal.
pub(super) fn number(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().into()),
        DeValue::Integer(number) => {
            i128::from_str_radix(number.as_str(), number.radix()).ok().map(|number| number.to_string())
        }
        DeValue::Float(number) => Some(number.as_str().into()),
        _ => None,
    }
}

pub(super) fn number_or_text(value: &DeValue<'_>) -> Option<String> {
    number(value).or_else(|| value.as_str().map(str::to_owned))
}

/// A value as a message names it.
pub(super) fn shown(value: &DeValue<'_>) -> String {
    let text = match value {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| shown(item.get_ref())).collect();
            format!("[{}]", items.join(", "))
        }
        DeValue::Table(_) => "a table".into(),
        DeValue::Boolean(yes) => yes.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        other => number(other).unwrap_or_else(|| "a number".into()),
    };
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

/// Which of these was meant, if one is so close that somebody may have mistyped it.
pub(super) fn meant<'a>(word: &str, choices: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distance = |choice: &str| strsim::damerau_levenshtein(word, choice);
    let nearest = choices.into_iter().min_by_key(|choice| distance(choice))?;
    (distance(nearest) <= 1 + word.chars().count() / 4).then_some(nearest)
}

/// What was meant, for a message.
pub(super) fn hint(meant: Option<impl Display>) -> String {
    meant.map_or_else(String::new, |meant| format!(" (did you mean {meant}?)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant_is_near() {
        let keys = ["command", "cron", "restart", "user"];
        assert_eq!(meant("comand", keys), Some("command"));
        assert_eq!(meant("retsart", keys), Some("restart"));
        assert_eq!(meant("signal", keys), None);
        assert_eq!(meant("x", []), None);
    }
}
