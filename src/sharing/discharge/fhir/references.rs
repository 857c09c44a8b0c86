//! Which resource a reference leads to: by `fullUrl`, by type and id, or `#…` within a resource.

use std::collections::HashMap;

use super::json::Node;

/// The resources of a bundle.
#[derive(Default)]
pub(super) struct Index<'n, 'a> {
    by_url: HashMap<&'n str, &'n Node<'a>>,
    by_id: HashMap<String, (&'n Node<'a>, bool)>,
    contained: HashMap<(*const Node<'a>, &'n str), &'n Node<'a>>,
}

/// Where a reference leads.
pub(super) enum Resolved<'n, 'a> {
    /// To this resource.
    Found(&'n Node<'a>),
    /// It should be here, and is not.
    Missing,
    /// It is on a server, or searched for.
    Elsewhere,
}

impl<'n, 'a> Index<'n, 'a> {
    /// Adds an entry; says whether its `fullUrl` was new.
    pub(super) fn add(&mut self, full_url: &'n str, resource: &'n Node<'a>) -> bool {
        let web = full_url.starts_with("http://") || full_url.starts_with("https://");
        let id = resource.peek_text("id");
        if !id.is_empty() {
            let key = format!("{}/{id}", resource.peek_text("resourceType"));
            self.by_id.entry(key).or_insert((resource, web));
        }
        if web && let Some(tail) = tail(full_url) {
            self.by_id.entry(tail.to_owned()).or_insert((resource, web));
        }
        for part in resource.peek_list("contained") {
            let key = (std::ptr::from_ref(resource), part.peek_text("id"));
            self.contained.entry(key).or_insert(part);
        }
        full_url.is_empty() || self.by_url.insert(full_url, resource).is_none()
    }

    /// Where `reference` leads from within `container`.
    pub(super) fn resolve(
        &self,
        reference: &str,
        container: Option<&'n Node<'a>>,
    ) -> Resolved<'n, 'a> {
        let found = |node: Option<&'n Node<'a>>| node.map_or(Resolved::Missing, Resolved::Found);
        if let Some(id) = reference.strip_prefix('#') {
            let Some(holder) = container else { return Resolved::Missing };
            if id.is_empty() {
                return Resolved::Found(holder);
            }
            return found(self.contained.get(&(std::ptr::from_ref(holder), id)).copied());
        }
        let reference = reference.split("/_history/").next().unwrap_or(reference);
        if let Some(node) = self.by_url.get(reference) {
            return Resolved::Found(node);
        }
        if reference.starts_with("urn:") {
            return Resolved::Missing;
        }
        if reference.contains('?') {
            return Resolved::Elsewhere;
        }
        if reference.contains("://") {
            // Another server's resource of the same id is another one.
            return match tail(reference).and_then(|tail| self.by_id.get(tail)) {
                Some((node, false)) => Resolved::Found(node),
                Some(_) | None => Resolved::Elsewhere,
            };
        }
        found(self.by_id.get(reference).map(|(node, _)| *node))
    }
}

/// `Type/id` at the end of a URL.
fn tail(url: &str) -> Option<&str> {
    let slash = url.rfind('/')?;
    let before = url.get(..slash)?;
    let start = before.rfind('/')? + 1;
    url.get(start..)
}
