//! How much may be said to a model at once, from the size of its context.

/// Tokens that are assumed where nobody says how many the context holds.
const ASSUMED_TOKENS: u64 = 65_536;
/// Characters that a token of logs, names and JSON has at least, on average. Prose has more; too
/// little is assumed rather than too much.
const CHARS_PER_TOKEN: usize = 3;
/// Most tokens of one answer.
const ANSWER_TOKENS: u64 = 4_096;
/// Characters of one tool result, about 2,000 tokens; the rest is read by its evidence id.
const RESULT_CHARS: usize = 8_000;
/// Characters of a result that was asked for in full, about 8,000 tokens.
const PASSAGE_CHARS: usize = 32_000;
/// Characters of all results of one turn.
const TURN_CHARS: usize = 64_000;
/// Characters of one summary.
const SUMMARY_CHARS: usize = 1_500;
/// Characters that are given to whoever writes one.
const MATERIAL_CHARS: usize = 48_000;
/// Characters of the model's own words that are said back to it.
const ECHO_CHARS: usize = 16_000;

/// What fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Tokens of the answer that may be asked for.
    pub answer_tokens: u32,
    /// Characters of one tool result.
    pub result_chars: usize,
    /// Characters of a passage of an earlier result.
    pub passage_chars: usize,
    /// Characters of all results of one turn.
    pub turn_chars: usize,
    /// Characters of a summary of results that are too long.
    pub summary_chars: usize,
    /// Characters that this model is given to condense.
    pub material_chars: usize,
    /// Characters of the model's own words that are said back to it.
    pub echo_chars: usize,
    /// Characters from which on a conversation is made shorter.
    pub full_chars: usize,
    /// Characters that a conversation which is made shorter comes down to.
    pub short_chars: usize,
    /// Share of the incident's lists that the first message holds, in percent.
    pub opening_percent: usize,
}

impl Room {
    /// The room in a context of `context_tokens`.
    pub fn of(context_tokens: Option<u64>) -> Self {
        let tokens = context_tokens.unwrap_or(ASSUMED_TOKENS).clamp(4_096, 4_000_000);
        let chars = usize::try_from(tokens).unwrap_or(usize::MAX).saturating_mul(CHARS_PER_TOKEN);
        let answer_tokens = u32::try_from(ANSWER_TOKENS.min(tokens / 4)).unwrap_or(u32::MAX);
        Self {
            answer_tokens,
            result_chars: (chars / 16).min(RESULT_CHARS),
            passage_chars: (chars / 8).min(PASSAGE_CHARS),
            turn_chars: (chars / 4).min(TURN_CHARS),
            summary_chars: (chars / 64).min(SUMMARY_CHARS),
            material_chars: (chars / 2).min(MATERIAL_CHARS),
            echo_chars: (chars / 16).min(ECHO_CHARS),
            full_chars: chars / 10 * 6,
            short_chars: chars / 10 * 4,
            opening_percent: match tokens {
                0..12_288 => 30,
                12_288..20_480 => 60,
                _ => 100,
            },
        }
    }

    /// `most` items of a list of the first message, fewer where the context is small.
    pub fn items(&self, most: usize) -> usize {
        (most * self.opening_percent / 100).max(1)
    }
}

impl Default for Room {
    fn default() -> Self {
        Self::of(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_larger_context_gives_more_room_up_to_a_bound() {
        let table: Vec<_> = [4_096, 8_192, 16_384, 32_768, 131_072, 1_000_000]
            .map(|tokens| {
                let room = Room::of(Some(tokens));
                (tokens, room.answer_tokens, room.result_chars, room.turn_chars, room.items(30))
            })
            .into();
        assert_eq!(
            table,
            [
                (4_096, 1_024, 768, 3_072, 9),
                (8_192, 2_048, 1_536, 6_144, 9),
                (16_384, 4_096, 3_072, 12_288, 18),
                (32_768, 4_096, 6_144, 24_576, 30),
                (131_072, 4_096, 8_000, 64_000, 30),
                (1_000_000, 4_096, 8_000, 64_000, 30),
            ]
        );
        assert_eq!(Room::of(Some(0)), Room::of(Some(4_096)));
        assert_eq!(Room::of(Some(u64::MAX)).turn_chars, TURN_CHARS);
    }

    #[test]
    fn what_fits_together_fits() {
        for tokens in [4_096, 8_192, 32_768, 65_536, 200_000] {
            let room = Room::of(Some(tokens));
            assert!(room.result_chars <= room.passage_chars && room.passage_chars <= room.turn_chars);
            assert!(room.short_chars + room.turn_chars < usize::try_from(tokens).unwrap() * CHARS_PER_TOKEN);
            assert!(room.short_chars < room.full_chars);
        }
    }
}
