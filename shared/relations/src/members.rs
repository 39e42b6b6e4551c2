//! The applications that a spread has found to belong together.

use crate::found::Number;
use domain::ApplicationId;
use ports::relation::{Link, Node};

/// An application that a spread has reached.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    pub link: &'a Link,
    pub(crate) number: Number,
    /// 0 for the seed; each shared node is one more.
    pub distance: u32,
    /// Over which node, and from which application, it was reached first. A seed that is a node has no application.
    pub via: Option<(&'a Node, Option<ApplicationId>)>,
}

/// The applications that belong together, in the order of their ids.
#[derive(Clone, Debug)]
pub struct Members<'a>(Vec<Member<'a>>);

impl<'a> Members<'a> {
    pub(crate) fn new(mut members: Vec<Member<'a>>) -> Self {
        members.sort_unstable_by_key(|member| member.link.application);
        Self(members)
    }

    /// The member that is this application.
    pub fn get(&self, application: ApplicationId) -> Option<&Member<'a>> {
        let place = self.0.binary_search_by_key(&application, |member| member.link.application).ok()?;
        self.0.get(place)
    }
}

impl<'a> std::ops::Deref for Members<'a> {
    type Target = [Member<'a>];

    fn deref(&self) -> &[Member<'a>] {
        &self.0
    }
}
