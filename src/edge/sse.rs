//! Server-sent events out of bytes, however the network splits them.

/// At the very beginning it says only that this is UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    /// Its id, to go on behind it.
    pub id: Option<String>,
    /// What kind it is, where that was said.
    pub kind: Option<String>,
    /// What it says.
    pub data: String,
}

/// An event, or a line, is larger than allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge;

/// Reads events. Comments keep connections alive and mean nothing else.
///
/// Lines are kept as bytes until they are whole, so a character that was split is whole again.
#[derive(Debug)]
pub struct Decoder {
    most: usize,
    begun: bool,
    line: Vec<u8>,
    after_cr: bool,
    event: Event,
    has_data: bool,
}

impl Decoder {
    /// For events of at most `most` bytes.
    pub fn new(most: usize) -> Self {
        Self { most, begun: false, line: vec![], after_cr: false, event: Event::default(), has_data: false }
    }

    /// The events that end within `bytes`, oldest first.
    ///
    /// # Errors
    /// When one is too large; nothing more can be read then.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Event>, TooLarge> {
        let mut events = Vec::new();
        for &byte in bytes {
            let newline_after_cr = std::mem::take(&mut self.after_cr) && byte == b'\n';
            match byte {
                b'\n' if newline_after_cr => {}
                b'\n' | b'\r' => {
                    self.after_cr = byte == b'\r';
                    let line = std::mem::take(&mut self.line);
                    events.extend(self.end_line(&line));
                }
                _ => self.line.push(byte),
            }
            if self.line.len() + self.event.data.len() > self.most {
                return Err(TooLarge);
            }
        }
        Ok(events)
    }

    /// What an end of the stream leaves, for senders that forget the empty line behind their last
    /// event. It may have been cut.
    pub fn finish(&mut self) -> Option<Event> {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            self.end_line(&line);
        }
        self.end_event()
    }

    fn end_line(&mut self, line: &[u8]) -> Option<Event> {
        let line = match std::mem::replace(&mut self.begun, true) {
            false => line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line),
            true => line,
        };
        if line.is_empty() {
            return self.end_event();
        }
        let line = String::from_utf8_lossy(line);
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            "id" => self.event.id = Some(value.to_owned()),
            "event" => self.event.kind = Some(value.to_owned()),
            _ => {}
        }
        None
    }

    fn end_event(&mut self) -> Option<Event> {
        let event = std::mem::take(&mut self.event);
        std::mem::take(&mut self.has_data).then_some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All events of `parts`, fed one after the other.
    fn decode<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
        let mut decoder = Decoder::new(1 << 20);
        let mut events: Vec<Event> = parts.into_iter().flat_map(|part| decoder.feed(part).unwrap()).collect();
        events.extend(decoder.finish());
        events.into_iter().map(|event| event.data).collect()
    }

    #[test]
    fn every_way_to_write_an_event_is_read() {
        for (stream, events) in [
            ("data: a\n\n", vec!["a"]),
            ("data:a\r\n\r\ndata:  b\r\r", vec!["a", " b"]),
            ("data: a\ndata: b\ndata\ndata:\n\n", vec!["a\nb\n\n"]),
            (": hello\n\n: OPENROUTER PROCESSING\n\ndata: a\n\n", vec!["a"]),
            ("\u{feff}data: a\n\n\u{feff}data: b\n\n", vec!["a"]),
            ("event: x\nid: 7\nretry: 9\ndata: a\ndatax: b\n\n", vec!["a"]),
            ("data: [DONE]", vec!["[DONE]"]),
            ("data: [DONE]\n", vec!["[DONE]"]),
            ("data:\n\n", vec![""]),
            ("\n\n\r\n", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(decode([stream.as_bytes()]), events, "{stream:?}");
        }
        assert_eq!(decode([&b"data: \xff\xfe\n\n"[..]]), ["\u{fffd}\u{fffd}"]);
    }

    #[test]
    fn a_stream_reads_the_same_at_every_split() {
        let stream = "\u{feff}: ping\r\n\r\ndata: {\"a\":\"é€🙂\"}\r\rdata: x\ndata: ü\n\ndata: [DONE]";
        let whole = decode([stream.as_bytes()]);
        assert_eq!(whole, ["{\"a\":\"é€🙂\"}", "x\nü", "[DONE]"]);
        for at in 0..=stream.len() {
            let (a, b) = stream.as_bytes().split_at(at);
            assert_eq!(decode([a, b]), whole, "split at {at}");
        }
        assert_eq!(decode(stream.as_bytes().chunks(1)), whole);
    }

    proptest! {
        #[test]
        fn no_split_changes_what_is_read(
            lines in proptest::collection::vec("(data: ?|: |id: |)[a-zé🙂\\[\\]:]{0,12}", 0..12),
            ends in proptest::collection::vec(prop_oneof!["\n", "\r", "\r\n", "\n\n", "\r\n\r\n"], 12),
            cuts in proptest::collection::vec(0_usize..64, 0..8),
        ) {
            let stream: String = lines.iter().zip(&ends).flat_map(|(line, end)| [line.as_str(), end]).collect();
            let mut rest = stream.as_bytes();
            let mut parts = Vec::new();
            for cut in cuts {
                let (part, after) = rest.split_at(cut.min(rest.len()));
                parts.push(part);
                rest = after;
            }
            parts.push(rest);
            prop_assert_eq!(decode(parts), decode([stream.as_bytes()]));
        }
    }

    #[test]
    fn ids_and_kinds_belong_to_their_event() {
        let mut decoder = Decoder::new(100);
        let events = decoder.feed(b"id: 7\nevent: progress\ndata: a\n\nid: 8\n\ndata: b\n\n").unwrap();
        let event = |id: Option<&str>, kind: Option<&str>, data: &str| Event {
            id: id.map(str::to_owned),
            kind: kind.map(str::to_owned),
            data: data.into(),
        };
        assert_eq!(events, [event(Some("7"), Some("progress"), "a"), event(None, None, "b")]);
    }

    #[test]
    fn l11_an_event_without_end_is_refused() {
        let mut decoder = Decoder::new(1_000);
        assert_eq!(decoder.feed(&[b'x'; 1_000]), Ok(vec![]));
        assert_eq!(decoder.feed(b"x"), Err(TooLarge));
        let mut decoder = Decoder::new(1_000);
        let line = format!("data: {}\n", "x".repeat(300));
        assert_eq!((0..5).filter_map(|_| decoder.feed(line.as_bytes()).err()).next(), Some(TooLarge));
    }
}
