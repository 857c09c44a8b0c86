//! A place in folded text, for the parsers of numbers and measured values.

/// A place in folded text that only moves forward when something matched.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    text: &'a str,
    pub(super) at: usize,
    end: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str, at: usize, end: usize) -> Self {
        Self { text, at, end }
    }

    pub(super) fn rest(&self) -> &'a str {
        self.text.get(self.at..self.end).unwrap_or("")
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// The character right before the place, even outside the cursor's part of the text.
    pub(super) fn before(&self) -> Option<char> {
        self.text.get(..self.at)?.chars().next_back()
    }

    pub(super) fn eat_if(&mut self, f: impl FnOnce(char) -> bool) -> Option<char> {
        let c = self.peek().filter(|c| f(*c))?;
        self.at += c.len_utf8();
        Some(c)
    }

    pub(super) fn eat(&mut self, word: &str) -> bool {
        let found = self.rest().starts_with(word);
        if found {
            self.at += word.len();
        }
        found
    }

    pub(super) fn eat_any(&mut self, words: &[&str]) -> bool {
        words.iter().any(|word| self.eat(word))
    }

    pub(super) fn spaces(&mut self) {
        // At most two: a blank between a number and its unit, not a page of them.
        let _ = self.eat(" ") && self.eat(" ");
    }

    /// A Latin unit must not run on into a word.
    pub(super) fn eat_latin(&mut self, word: &str) -> bool {
        let saved = *self;
        if self.eat(word) && !self.peek().is_some_and(|c| c.is_ascii_alphanumeric()) {
            return true;
        }
        *self = saved;
        false
    }
}
