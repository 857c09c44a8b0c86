//! The hub's side of an exchange with one node.

use super::{
    Breach, Cursor, Delivery, Document, FromHub, FromNode, Hello, Outcome, Standing, Welcome,
    Window,
};

/// What the hub is to do next, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HubDo {
    /// Say this.
    Send(FromHub),
    /// Write down who came ([`greet`] decides), and call [`HubSession::attended`].
    Attend(Hello),
    /// Keep a document in one transaction with everything that follows from it; then call
    /// [`HubSession::answered`].
    Submit(String, u64, Document),
    /// Read so many documents at most for the node, above this number; then call
    /// [`HubSession::inbox`].
    ReadInbox {
        /// Number above which to read.
        after: u64,
        /// Documents at most.
        limit: usize,
    },
    /// Write down that the node has everything up to this number.
    Advance(u64),
}

/// What the hub has of a node when it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acquaintance {
    /// Whether the database that says hello was the node's before another one.
    pub retired: bool,
    /// Highest number that the hub has of that database's outbox.
    pub known: u64,
    /// Whether the document at [`Hello::position`] is there, and from this node.
    pub remembers: bool,
    /// Whether the node's inbox has the number of [`Hello::inbox`], with that chain.
    pub inbox_fits: bool,
}

/// How a node is seen that says hello. [`Standing::Current`] makes its database the node's; if it
/// was another one before, that is retired, and what the node has sent above [`Hello::position`] is put
/// into its inbox, because the database may lack it.
pub fn greet(hello: &Hello, has: Acquaintance) -> Welcome {
    let standing = if hello.last < has.known {
        // It has sent more than it knows of: an old copy of the database was put back.
        Standing::Forked
    } else if has.retired {
        Standing::Replaced
    } else {
        Standing::Current
    };
    Welcome {
        store: hello.store.clone(),
        standing,
        remembers: has.remembers || hello.position.number == 0,
        inbox: if has.inbox_fits || hello.inbox.number == 0 {
            hello.inbox
        } else {
            Cursor::default()
        },
    }
}

/// One conversation with a node.
#[derive(Debug, Default)]
pub struct HubSession {
    store: Option<String>,
    standing: Option<Standing>,
    /// Above it nothing was sent yet.
    sent: u64,
    /// Above it nothing was kept by the node.
    kept: u64,
    reading: bool,
    again: bool,
    window: Window,
}

impl HubSession {
    /// Takes what the node said.
    pub fn heard(&mut self, message: FromNode) -> Result<Vec<HubDo>, Breach> {
        match message {
            FromNode::Hello(hello) => {
                if self.store.as_ref() == Some(&hello.store) {
                    return Ok(Vec::new());
                }
                let reading = self.reading;
                *self = Self { reading, again: reading, ..Self::default() };
                self.store = Some(hello.store.clone());
                self.sent = hello.inbox.number;
                self.kept = hello.inbox.number;
                Ok(vec![HubDo::Attend(hello)])
            }
            FromNode::Document(number, document) => {
                let (Some(store), Some(standing)) = (&self.store, self.standing) else {
                    return Err(Breach("a document came before the welcome"));
                };
                match standing {
                    // It was sent before the node heard that it must take another name.
                    Standing::Forked => {
                        Ok(vec![HubDo::Send(FromHub::Answer(number, Outcome::Forked))])
                    }
                    Standing::Current | Standing::Replaced => {
                        Ok(vec![HubDo::Submit(store.clone(), number, document)])
                    }
                }
            }
            FromNode::Kept(number) => {
                if self.standing != Some(Standing::Current) {
                    return Ok(Vec::new());
                }
                if number > self.sent {
                    return Err(Breach("the node has what was not sent to it"));
                }
                if number <= self.kept {
                    return Ok(Vec::new());
                }
                self.kept = number;
                self.window.remove_through(number);
                let mut todo = vec![HubDo::Advance(number)];
                if self.again {
                    todo.extend(self.read());
                }
                Ok(todo)
            }
        }
    }

    /// The node's coming is written down.
    pub fn attended(&mut self, hello: &Hello, welcome: Welcome) -> Vec<HubDo> {
        if self.store.as_ref() != Some(&hello.store) {
            return Vec::new();
        }
        self.standing = Some(welcome.standing);
        self.sent = welcome.inbox.number;
        self.kept = welcome.inbox.number;
        let mut todo = vec![HubDo::Send(FromHub::Welcome(welcome))];
        todo.extend(self.read());
        todo
    }

    /// What became of a document is on disk.
    pub fn answered(&mut self, store: &str, number: u64, outcome: Outcome) -> Vec<HubDo> {
        // Said under a name that the database no longer has: the number means nothing any more.
        if self.store.as_deref() != Some(store) {
            return Vec::new();
        }
        vec![HubDo::Send(FromHub::Answer(number, outcome))]
    }

    /// Takes what was read for the node above `after`; `whole`: there was no more.
    pub fn inbox(
        &mut self,
        after: u64,
        deliveries: Vec<(u64, Delivery)>,
        whole: bool,
    ) -> Vec<HubDo> {
        self.reading = false;
        if self.standing != Some(Standing::Current) {
            return Vec::new();
        }
        let mut todo = Vec::new();
        if after == self.sent {
            for (number, delivery) in deliveries {
                if !self.window.has_room() {
                    self.again = true;
                    break;
                }
                if number != self.sent + 1 {
                    break;
                }
                self.window.add(number, delivery.document.weight());
                self.sent = number;
                todo.push(HubDo::Send(FromHub::Deliver(number, delivery)));
            }
            self.again |= !whole;
        } else {
            self.again = true;
        }
        if self.again {
            todo.extend(self.read());
        }
        todo
    }

    /// There is something new for the node, or there may be.
    pub fn woken(&mut self) -> Vec<HubDo> {
        self.again = true;
        self.read()
    }

    /// The name that the node's database said.
    pub fn store(&self) -> Option<&str> {
        self.store.as_deref()
    }

    fn read(&mut self) -> Vec<HubDo> {
        let limit = self.window.room();
        if self.reading || limit == 0 || self.standing != Some(Standing::Current) {
            return Vec::new();
        }
        self.reading = true;
        self.again = false;
        vec![HubDo::ReadInbox { after: self.sent, limit }]
    }
}
