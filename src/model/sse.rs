//! Server-sent events out of bytes, however the network splits them.

/// Most bytes of one event.
const MAX_EVENT_BYTES: usize = 4 << 20;
/// At the very beginning it says only that this is UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// An event, or a line, is larger than [`MAX_EVENT_BYTES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLarge;

/// Reads the data of events. Names and ids are of no use here; comments keep connections alive.
///
/// Lines are kept as bytes until they are whole, so a character that was split is whole again.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    begun: bool,
    line: Vec<u8>,
    after_cr: bool,
    data: Option<Vec<u8>>,
}

impl Decoder {
    /// The data of the events that end within `bytes`, oldest first.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<Vec<String>, TooLarge> {
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
            if self.line.len() + self.data.as_ref().map_or(0, Vec::len) > MAX_EVENT_BYTES {
                return Err(TooLarge);
            }
        }
        Ok(events)
    }

    /// What an end of the stream leaves: some servers forget the empty line behind their last event.
    pub(super) fn finish(&mut self) -> Option<String> {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            self.end_line(&line);
        }
        self.event()
    }

    fn end_line(&mut self, line: &[u8]) -> Option<String> {
        let line = match std::mem::replace(&mut self.begun, true) {
            false => line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line),
            true => line,
        };
        if line.is_empty() {
            return self.event();
        }
        let value = match line.strip_prefix(b"data") {
            Some(b"") => b"",
            Some([b':', b' ', value @ ..] | [b':', value @ ..]) => value,
            Some(_) | None => return None,
        };
        match &mut self.data {
            Some(data) => {
                data.push(b'\n');
                data.extend_from_slice(value);
            }
            None => self.data = Some(value.to_vec()),
        }
        None
    }

    fn event(&mut self) -> Option<String> {
        self.data.take().map(|data| String::from_utf8_lossy(&data).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All events of `parts`, fed one after the other.
    fn decode<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
        let mut decoder = Decoder::default();
        let mut events: Vec<String> = parts.into_iter().flat_map(|part| decoder.feed(part).unwrap()).collect();
        events.extend(decoder.finish());
        events
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
    fn l11_an_event_without_end_is_refused() {
        let mut decoder = Decoder::default();
        assert_eq!(decoder.feed(&vec![b'x'; MAX_EVENT_BYTES]), Ok(vec![]));
        assert_eq!(decoder.feed(b"x"), Err(TooLarge));
        let mut decoder = Decoder::default();
        let line = format!("data: {}\n", "x".repeat(1 << 20));
        assert_eq!((0..5).filter_map(|_| decoder.feed(line.as_bytes()).err()).next(), Some(TooLarge));
    }
}
