//! `xiangyi.identity.v1.IdentityService`.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::common::timestamp;
use super::proto::xiangyi::identity::v1 as pb;
use crate::app::access::{Action, authorise};
use crate::app::credentials::Authenticator;
use crate::app::error::Error;
use crate::app::identity::Known;
use crate::app::identity::accounts::{Accounts, Tokens};

/// What a caller needs no credentials for, where the node has accounts: it is how one gets some.
pub(super) const OPEN: [&str; 3] = [
    "/xiangyi.identity.v1.IdentityService/SetUp",
    "/xiangyi.identity.v1.IdentityService/SignIn",
    "/xiangyi.identity.v1.IdentityService/Refresh",
];

/// The service.
#[derive(Debug)]
pub(super) struct IdentityDoor(pub(super) Authenticator);

impl IdentityDoor {
    fn accounts(&self) -> Result<&Arc<Accounts>, Error> {
        self.0.accounts().ok_or_else(|| Error::Refused {
            reason: "this node admits no accounts of its own (auth.accounts)".to_owned(),
        })
    }
}

/// Who the gate found.
fn known<T>(request: &Request<T>) -> Result<Known, Error> {
    request.extensions().get::<Known>().cloned().ok_or(Error::Unauthenticated)
}

#[tonic::async_trait]
impl pb::identity_service_server::IdentityService for IdentityDoor {
    async fn set_up(
        &self,
        request: Request<pb::SetUpRequest>,
    ) -> Result<Response<pb::SetUpResponse>, Status> {
        let asked = request.into_inner();
        self.accounts()?.set_up(&asked.code, &asked.name, &asked.password).await?;
        Ok(Response::new(pb::SetUpResponse {}))
    }

    async fn sign_in(
        &self,
        request: Request<pb::SignInRequest>,
    ) -> Result<Response<pb::SignInResponse>, Status> {
        let asked = request.into_inner();
        let tokens = self.accounts()?.sign_in(&asked.name, &asked.password).await?;
        let person = Some(person(&tokens.known));
        Ok(Response::new(pb::SignInResponse { person, tokens: Some(tokens.into()) }))
    }

    async fn refresh(
        &self,
        request: Request<pb::RefreshRequest>,
    ) -> Result<Response<pb::RefreshResponse>, Status> {
        let tokens = self.accounts()?.refresh(&request.into_inner().refresh_token).await?;
        let person = Some(person(&tokens.known));
        Ok(Response::new(pb::RefreshResponse { person, tokens: Some(tokens.into()) }))
    }

    async fn sign_out(
        &self,
        request: Request<pb::SignOutRequest>,
    ) -> Result<Response<pb::SignOutResponse>, Status> {
        let known = known(&request)?;
        self.accounts()?.sign_out(&known).await?;
        Ok(Response::new(pb::SignOutResponse {}))
    }

    async fn change_password(
        &self,
        request: Request<pb::ChangePasswordRequest>,
    ) -> Result<Response<pb::ChangePasswordResponse>, Status> {
        let known = known(&request)?;
        let asked = request.into_inner();
        let passwords = (asked.old_password.as_str(), asked.new_password.as_str());
        Box::pin(self.accounts()?.change_password(&known, passwords)).await?;
        Ok(Response::new(pb::ChangePasswordResponse {}))
    }

    async fn who_am_i(
        &self,
        request: Request<pb::WhoAmIRequest>,
    ) -> Result<Response<pb::WhoAmIResponse>, Status> {
        let known = known(&request)?;
        authorise(&known.caller, Action::OwnSession)?;
        let (person, has_session) = (Some(person(&known)), known.session.is_some());
        Ok(Response::new(pb::WhoAmIResponse { person, has_session }))
    }
}

fn person(known: &Known) -> pb::Person {
    pb::Person {
        name: known.caller.name.clone(),
        role: known.caller.role.name().to_owned(),
        scope: known.scope.clone(),
    }
}

impl From<Tokens> for pb::Tokens {
    fn from(tokens: Tokens) -> Self {
        Self {
            access_token: tokens.access,
            access_expires_at: Some(timestamp(tokens.access_until_ms)),
            refresh_token: tokens.refresh,
            refresh_expires_at: Some(timestamp(tokens.refresh_until_ms)),
        }
    }
}
