//! The node's side of an exchange.

use super::{
    Breach, Cursor, Delivery, Document, FromHub, FromNode, Hello, Outcome, Standing, Welcome,
    Window,
};

/// What the node is to do next, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeDo {
    /// Say this.
    Send(FromNode),
    /// Read so many documents at most from the outbox: those above `after`, and those that were refused
    /// before and are due again; then call [`NodeSession::outbox`].
    ReadOutbox {
        /// Number above which nothing was sent yet.
        after: u64,
        /// Documents at most.
        limit: usize,
    },
    /// Write down what became of a document of the outbox.
    Settle(u64, Outcome),
    /// Keep a document and this cursor in one transaction; then call [`NodeSession::kept`].
    Keep(Cursor, Delivery),
    /// Write down that the hub was set back: everything in the outbox is to be sent again.
    Unsettle,
    /// Write down that the hub's numbering of the inbox is another one, and begins here.
    ResetInbox(Cursor),
    /// Give the database another name, write down why, and call [`NodeSession::renewed`].
    Renew,
    /// Write down, and show, that another box has taken the node's name.
    NoteReplaced,
}

/// One conversation with the hub; a new one for each line.
#[derive(Debug)]
pub struct NodeSession {
    hello: Hello,
    welcomed: Option<Standing>,
    /// Above it nothing was sent yet.
    sent: u64,
    reading: bool,
    /// Something may have come while the outbox was read.
    again: bool,
    window: Window,
    /// The last of the inbox that was taken.
    taken: Cursor,
    renewing: bool,
}

impl NodeSession {
    /// Begins with what the database says of itself.
    pub fn begin(hello: Hello) -> (Self, FromNode) {
        let first = FromNode::Hello(hello.clone());
        let taken = hello.inbox;
        let session = Self {
            hello,
            welcomed: None,
            sent: 0,
            reading: false,
            again: false,
            window: Window::default(),
            taken,
            renewing: false,
        };
        (session, first)
    }

    /// Takes what the hub said.
    pub fn heard(&mut self, message: FromHub) -> Result<Vec<NodeDo>, Breach> {
        match message {
            FromHub::Welcome(welcome) => Ok(self.welcome(&welcome)),
            // Said to the name that the database had before.
            FromHub::Answer(..) | FromHub::Deliver(..) if self.welcomed.is_none() => Ok(Vec::new()),
            FromHub::Answer(number, Outcome::Forked) => {
                if !self.window.holds(number) {
                    return Ok(Vec::new());
                }
                Ok(self.renew())
            }
            FromHub::Answer(number, outcome) => {
                if !self.window.remove(number) {
                    return Ok(Vec::new());
                }
                let mut todo = vec![NodeDo::Settle(number, outcome)];
                todo.extend(self.read());
                Ok(todo)
            }
            FromHub::Deliver(number, delivery) => {
                if number <= self.taken.number {
                    return Ok(Vec::new());
                }
                if number > self.taken.number + 1 {
                    return Err(Breach("a number of the inbox was left out"));
                }
                self.taken = self.taken.after(&delivery.document.sha256);
                Ok(vec![NodeDo::Keep(self.taken, delivery)])
            }
        }
    }

    fn welcome(&mut self, welcome: &Welcome) -> Vec<NodeDo> {
        if self.renewing || self.welcomed.is_some() || welcome.store != self.hello.store {
            return Vec::new();
        }
        let mut todo = Vec::new();
        match welcome.standing {
            Standing::Forked => return self.renew(),
            Standing::Current => {}
            Standing::Replaced => todo.push(NodeDo::NoteReplaced),
        }
        self.welcomed = Some(welcome.standing);
        if !welcome.remembers {
            todo.push(NodeDo::Unsettle);
        }
        if welcome.standing == Standing::Current && welcome.inbox != self.hello.inbox {
            self.taken = welcome.inbox;
            todo.push(NodeDo::ResetInbox(welcome.inbox));
        }
        todo.extend(self.read());
        todo
    }

    fn renew(&mut self) -> Vec<NodeDo> {
        self.renewing = true;
        self.welcomed = None;
        self.window = Window::default();
        vec![NodeDo::Renew]
    }

    /// The database has another name: the conversation begins anew on the same line.
    pub fn renewed(&mut self, hello: Hello) -> Vec<NodeDo> {
        let reading = self.reading;
        let (session, first) = Self::begin(hello);
        *self = session;
        self.reading = reading;
        self.again = reading;
        vec![NodeDo::Send(first)]
    }

    /// Takes what was read from the outbox; `whole`: there was no more.
    pub fn outbox(&mut self, documents: Vec<(u64, Document)>, whole: bool) -> Vec<NodeDo> {
        self.reading = false;
        if self.welcomed.is_none() {
            return Vec::new();
        }
        let mut todo = Vec::new();
        for (number, document) in documents {
            if self.window.holds(number) {
                continue;
            }
            if !self.window.has_room() {
                self.again = true;
                break;
            }
            self.window.add(number, document.weight());
            self.sent = self.sent.max(number);
            todo.push(NodeDo::Send(FromNode::Document(number, document)));
        }
        self.again |= !whole;
        if self.again {
            todo.extend(self.read());
        }
        todo
    }

    /// Something was put into the outbox, or something refused is due again.
    pub fn woken(&mut self) -> Vec<NodeDo> {
        self.again = true;
        if self.welcomed.is_some() { self.read() } else { Vec::new() }
    }

    /// Everything up to `number` is on disk.
    pub fn kept(&self, number: u64) -> Vec<NodeDo> {
        if self.welcomed == Some(Standing::Current) {
            vec![NodeDo::Send(FromNode::Kept(number))]
        } else {
            Vec::new()
        }
    }

    /// Whether the hub has said that another box has the name.
    pub fn replaced(&self) -> bool {
        self.welcomed == Some(Standing::Replaced)
    }

    /// Documents that were sent and not answered.
    pub fn unanswered(&self) -> usize {
        self.window.weights.len()
    }

    fn read(&mut self) -> Vec<NodeDo> {
        let limit = self.window.room();
        if self.reading || limit == 0 {
            return Vec::new();
        }
        self.reading = true;
        self.again = false;
        // Those that are under way may come again among those that are due.
        vec![NodeDo::ReadOutbox { after: self.sent, limit }]
    }
}
