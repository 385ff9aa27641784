//! Sizes of what is kept and of what a reader gets.

use serde_json::{Value, json};

/// Most bytes of an observation's data as JSON.
pub const DATA_BYTES: usize = 8 << 20;
/// Most bytes of a text that is kept for reading on.
pub const WHOLE_BYTES: usize = 4 << 20;
/// Levels of nesting that are kept; JSON is read back up to 128.
pub const LEVELS: usize = 64;

/// `text` in at most `bytes` bytes. The head and the end stay, whole lines where possible, and a
/// line between them says how much was left out. The second value tells whether anything was.
pub fn text(text: String, bytes: usize) -> (String, bool) {
    if text.len() <= bytes {
        return (text, false);
    }
    const MARK: usize = 160;
    let room = bytes.saturating_sub(MARK);
    let head_end = boundary(&text, room / 4 * 3);
    let head_end = text[..head_end].rfind('\n').filter(|at| *at > head_end / 2).map_or(head_end, |at| at + 1);
    let tail_start = boundary_up(&text, text.len() - room / 4);
    let tail_start = match text[tail_start..].find('\n') {
        Some(at) if at < room / 8 => tail_start + at + 1,
        _ => tail_start,
    };
    let left_out = &text[head_end..tail_start];
    let lines = left_out.lines().count();
    let mark = format!(
        "[{lines} lines, {} bytes left out here: ask for less (a name, a selector, a limit, a filter) to see them]",
        left_out.len()
    );
    let newline = if text[..head_end].ends_with('\n') { "" } else { "\n" };
    let mut out = format!("{}{newline}{mark}\n{}", &text[..head_end], &text[tail_start..]);
    // A cap below the mark's own length.
    out.truncate(boundary(&out, bytes));
    (out, true)
}

fn boundary(text: &str, mut at: usize) -> usize {
    at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn boundary_up(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at += 1;
    }
    at
}

/// Bytes of `value` as JSON.
pub fn size(value: &Value) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // Writing JSON into a counter cannot fail.
    let _ = serde_json::to_writer(&mut count, value);
    count.0
}

/// Replaces what is nested deeper than [`LEVELS`] by a short text. Returns what was left out, in words.
pub fn depth(data: &mut Value) -> Option<String> {
    let cut = cut_below(data, LEVELS);
    (cut > 0).then(|| format!("{cut} parts were nested deeper than {LEVELS} levels and left out"))
}

/// Goes no deeper than `levels`.
fn cut_below(value: &mut Value, levels: usize) -> usize {
    match value {
        Value::Array(_) | Value::Object(_) if levels == 0 => {
            *value = Value::String(format!("[nested deeper than {LEVELS} levels]"));
            1
        }
        Value::Array(items) => items.iter_mut().map(|item| cut_below(item, levels - 1)).sum(),
        Value::Object(map) => map.values_mut().map(|item| cut_below(item, levels - 1)).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

/// Makes `data` fit into `bytes`: the longest list loses its end, and `complete` becomes false.
/// Returns what was left out, in words.
pub fn data(data: &mut Value, bytes: usize) -> Option<String> {
    let total = size(data);
    if total <= bytes {
        return None;
    }
    let mut said = format!("{total} bytes were read, more than is kept");
    if let Some(map) = data.as_object_mut() {
        let lists = map.iter().filter(|(_, v)| v.is_array()).map(|(k, v)| (k.clone(), size(v)));
        if let Some((key, list)) = lists.max_by_key(|(_, size)| *size) {
            let mut room = bytes.saturating_sub(total - list + 64);
            let items = map.get_mut(&key).and_then(Value::as_array_mut);
            if let Some(items) = items {
                let before = items.len();
                let kept = items.iter().take_while(|item| {
                    let need = size(item) + 1;
                    let fits = need <= room;
                    room = room.saturating_sub(need);
                    fits
                });
                let kept = kept.count();
                items.truncate(kept);
                said = format!("the last {} of {before} {key} were left out: more than {bytes} bytes", before - kept);
                map.insert("complete".to_owned(), Value::Bool(false));
            }
        }
    }
    if size(data) > bytes {
        *data = json!({"left_out": said, "bytes": total});
    }
    Some(said)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn head_and_end_stay_and_the_gap_says_its_size() {
        let long: String = (0..1000).map(|n| format!("line {n}\n")).collect();
        let (cut, left_out) = text(long, 1000);
        assert!(left_out && cut.len() <= 1000);
        assert!(cut.starts_with("line 0\nline 1\n") && cut.ends_with("line 999\n"));
        assert!(cut.contains(" lines, ") && cut.contains("left out here"), "{cut}");
        assert_eq!(text("short".into(), 1000), ("short".into(), false));
    }

    #[test]
    fn the_longest_list_loses_its_end() {
        let mut value = json!({"kind": "PodList", "items": vec![json!({"x": "y".repeat(100)}); 100], "complete": true});
        assert!(data(&mut value, 2000).unwrap().contains("of 100 items"));
        assert!(size(&value) <= 2000 && value["items"].as_array().unwrap().len() > 10);
        assert_eq!(value["complete"], false);
        let mut blob = json!({"data": "z".repeat(5000)});
        assert!(data(&mut blob, 2000).is_some() && size(&blob) <= 2000);
    }

    proptest! {
        #[test]
        fn a_text_never_exceeds_its_cap(long in "(.{0,40}\n?){0,60}", cap in 0usize..900) {
            let whole = long.clone();
            let (cut, left_out) = text(long, cap);
            prop_assert!(cut.len() <= cap);
            prop_assert_eq!(left_out, whole.len() > cap);
        }

        #[test]
        fn data_never_exceeds_its_cap(items in proptest::collection::vec(".{0,60}", 0..60), other in ".{0,300}", cap in 200usize..3000) {
            let mut value = json!({"items": items, "other": other});
            data(&mut value, cap);
            prop_assert!(size(&value) <= cap);
        }
    }
}
