//! The composed wordings as a tree over characters: tens of thousands of wordings that share
//! most of their letters, built in one pass over the sorted list.

/// No wording ends at a node.
const NONE: u32 = u32::MAX;

/// A tree of wordings.
#[derive(Debug, Clone, Default)]
pub(super) struct Tree {
    /// The root first; the children of a node lie side by side, in order of their characters.
    nodes: Vec<Node>,
}

#[derive(Debug, Clone, Copy)]
struct Node {
    letter: char,
    /// What the wording that ends here says.
    sense: u32,
    /// Index of the first child, and of the one past the last.
    children: (u32, u32),
}

impl Tree {
    /// Builds the tree of `texts` (sorted, each once), with the sense of each.
    pub(super) fn new(texts: &[(String, usize)]) -> Self {
        let leaf = |letter| Node { letter, sense: NONE, children: (0, 0) };
        let mut nodes = vec![leaf('\0')];
        // Per node in the order they were made: its wordings, and how many bytes they share.
        let mut open = vec![(texts, 0_usize)];
        let mut at = 0;
        while let Some((mut rest, depth)) = open.get(at).copied() {
            let first = index(nodes.len());
            let mut sense = NONE;
            if let Some(((text, own), others)) = rest.split_first()
                && text.len() == depth
            {
                (sense, rest) = (index(*own), others);
            }
            while let Some(letter) = rest.first().and_then(|(text, _)| letter_at(text, depth)) {
                let same = |(text, _): &(String, usize)| letter_at(text, depth) == Some(letter);
                let (group, others) = rest.split_at(rest.partition_point(same).max(1));
                // Sorted by bytes is sorted by characters, so one character's wordings are
                // together; `partition_point` needs no more than that they come first.
                nodes.push(leaf(letter));
                open.push((group, depth + letter.len_utf8()));
                rest = others;
            }
            let past = index(nodes.len());
            if let Some(node) = nodes.get_mut(at) {
                (node.sense, node.children) = (sense, (first, past));
            }
            at += 1;
        }
        Self { nodes }
    }

    /// The longest wording that `text` begins with: its length in bytes and its sense.
    pub(super) fn longest(&self, text: &str) -> Option<(usize, usize)> {
        let mut node = self.nodes.first()?;
        let mut longest = None;
        for (at, letter) in text.char_indices() {
            let Some(child) = self.child(node, letter) else { break };
            node = child;
            if node.sense != NONE {
                longest = Some((at + letter.len_utf8(), place(node.sense)));
            }
        }
        longest
    }

    /// The sense of exactly this wording.
    pub(super) fn get(&self, text: &str) -> Option<usize> {
        self.longest(text).filter(|(length, _)| *length == text.len()).map(|(_, sense)| sense)
    }

    fn child(&self, node: &Node, letter: char) -> Option<&Node> {
        let (first, past) = node.children;
        let children = self.nodes.get(place(first)..place(past))?;
        let found = children.binary_search_by_key(&letter, |child| child.letter).ok()?;
        children.get(found)
    }
}

fn letter_at(text: &str, at: usize) -> Option<char> {
    text.get(at..)?.chars().next()
}

fn index(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(NONE)
}

fn place(at: u32) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_wording_is_found() {
        let texts = [("胸口", 1), ("胸口刺痛", 2), ("胸痛", 3), ("腹", 4)];
        let tree = Tree::new(&texts.map(|(text, sense)| (text.to_owned(), sense)));
        assert_eq!(tree.longest("胸口刺痛3天"), Some(("胸口刺痛".len(), 2)));
        assert_eq!(tree.longest("胸口刺"), Some(("胸口".len(), 1)));
        assert_eq!((tree.longest("胸"), tree.longest("口"), tree.longest("")), (None, None, None));
        assert_eq!((tree.get("胸痛"), tree.get("胸"), tree.get("胸痛了")), (Some(3), None, None));
        assert_eq!(Tree::new(&[]).longest("胸"), None);
    }
}
