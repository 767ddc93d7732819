//! The MCP server proper: what rmcp asks us when a message has passed every check.
#![expect(deprecated, reason = "logging is deprecated by SEP-2577, and it is what the supported revisions have")]

mod ask;
mod connection;
mod listen;
mod prompts;
mod resources;
mod round;
mod tasks;
mod tell;
mod tools;

use std::{panic::AssertUnwindSafe, sync::Arc};

use axum::http::request::Parts;
use futures_util::FutureExt as _;
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CancelTaskParams, CompleteRequestParams, CompleteResult,
        CustomRequest, CustomResult, GetPromptRequestParams, GetPromptResponse, GetSkillRequestParams, GetSkillResult,
        GetTaskParams, GetTaskResult, Implementation, ListPromptsResult, ListResourceTemplatesResult,
        ListResourcesResult, ListSkillsResult, ListToolsResult, PaginatedRequestParams,
        ReadResourceDirectoryRequestParams, ReadResourceDirectoryResult, ReadResourceRequestParams,
        ReadResourceResponse, ServerConfig, SetLevelRequestParams, SubscribeRequestParams, SubscriptionFilter, Tool,
        UnsubscribeRequestParams, UpdateTaskParams,
    },
    service::{NotificationContext, RequestContext, SubscriptionContext},
};
use serde_json::{Value, json};

use self::{connection::Connection, resources::none_at, tasks::unheard};
pub(super) use self::{
    listen::{Hearing, everything},
    tell::LetGo,
};
use super::{
    features::Features,
    listing::{Listing, excuse},
    shared_secret::SharedSecret,
    tasks::Tasks,
};
use crate::{
    auth::Principal,
    call::BoxFuture,
    clock::SharedClock,
    gateway::Status,
    telemetry::{metrics::Metrics, request::Ids},
};

/// In an error's `data`, as `reason`: the guarded server is the one that does not answer. Our client looks for it.
const UPSTREAM_DOWN: &str = "upstream_down";

/// Cheap to clone: rmcp makes one for every stateless request and for every session.
#[derive(Clone)]
pub(super) struct Handler {
    shared: Arc<Shared>,
    /// Of the session that it serves.
    connection: Arc<Connection>,
}

struct Shared {
    features: Features,
    upstream: Option<Arc<Status>>,
    listing: Listing,
    tasks: Tasks,
    /// What `requestState` is sealed by.
    secret: Arc<SharedSecret>,
    clock: SharedClock,
    metrics: Metrics,
    /// Who asks, if nobody is asked who they are.
    local: Option<Arc<Principal>>,
}

impl Shared {
    fn excuse(&self) -> Option<String> {
        excuse(&self.features.tools, self.upstream.as_deref())
    }
}

impl Handler {
    /// With `show_locked`, callers also see what an upstream server has and their token does not allow.
    pub(super) fn new(
        features: Features,
        upstream: Option<Arc<Status>>,
        show_locked: bool,
        tasks: Tasks,
        secret: Arc<SharedSecret>,
        clock: SharedClock,
        metrics: Metrics,
    ) -> Self {
        let listing = Listing::new(features.clone(), show_locked);
        let shared = Shared { features, upstream, listing, tasks, secret, clock, metrics, local: None };
        Self { shared: Arc::new(shared), connection: Arc::default() }
    }

    /// For whoever is there: nobody is asked who they are.
    pub(super) fn local(features: Features, tasks: Tasks, clock: SharedClock) -> Self {
        let local = Arc::new(Principal::local(features.scopes_supported()));
        let secret = Arc::new(SharedSecret::alone(SharedClock::clone(&clock)));
        let mut handler = Self::new(features, None, true, tasks, secret, clock, Metrics::default());
        Arc::get_mut(&mut handler.shared).expect("nobody else has it yet").local = Some(local);
        handler
    }

    /// One for another session.
    pub(super) fn for_another(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), connection: Arc::default() }
    }
}

impl ServerHandler for Handler {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(self.shared.features.capabilities())
            .with_server_info(Implementation::new("securemcp", env!("CARGO_PKG_VERSION")))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.shared.listing.find(name)
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let principal = self.principal(&context)?;
        // An empty list would say that there are no tools.
        if let Some(excuse) = self.shared.excuse() {
            return Err(ErrorData::internal_error(excuse, Some(json!({ "reason": UPSTREAM_DOWN }))));
        }
        Ok(self.shared.listing.tools(&principal))
    }

    fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> impl Future<Output = Result<CallToolResponse, ErrorData>> + Send {
        let ids = ids(&context);
        guarded(ids, self.call(request, context))
    }

    async fn list_resources(
        &self,
        _request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(self.shared.listing.resources(&*self.principal(&context)?))
    }

    async fn list_resource_templates(
        &self,
        _request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(self.shared.listing.templates(&*self.principal(&context)?))
    }

    fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> impl Future<Output = Result<ReadResourceResponse, ErrorData>> + Send {
        let ids = ids(&context);
        guarded(ids, self.read(request, context))
    }

    async fn list_skills(
        &self,
        _request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListSkillsResult, ErrorData> {
        Ok(self.shared.listing.skills(&*self.principal(&context)?))
    }

    async fn get_skill(
        &self,
        request: GetSkillRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<GetSkillResult, ErrorData> {
        self.shared.listing.skill(&request.uri).ok_or_else(|| none_at("skill", &request.uri))
    }

    async fn read_resource_directory(
        &self,
        request: ReadResourceDirectoryRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceDirectoryResult, ErrorData> {
        self.shared.listing.folder(&request.uri).ok_or_else(|| none_at("folder", &request.uri))
    }

    async fn list_prompts(
        &self,
        _request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Ok(self.shared.listing.prompts(&*self.principal(&context)?))
    }

    fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> impl Future<Output = Result<GetPromptResponse, ErrorData>> + Send {
        let ids = ids(&context);
        guarded(ids, self.give(request, context))
    }

    fn complete(
        &self,
        request: CompleteRequestParams,
        context: RequestContext<RoleServer>,
    ) -> impl Future<Output = Result<CompleteResult, ErrorData>> + Send {
        let ids = ids(&context);
        guarded(ids, self.completed(request, context))
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        Ok(GetTaskResult::new(self.task(&request.task_id, &context).await?.detailed(&request.task_id)))
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let (id, answers) = (&request.task_id, request.input_responses);
        let found = self.task(id, &context).await?;
        self.shared.tasks.answer(id, &found, answers).await.map_err(|error| unheard(&error))
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let found = self.task(&request.task_id, &context).await?;
        self.shared.tasks.cancel(&request.task_id, &found).await.map_err(|error| unheard(&error))
    }

    async fn set_level(
        &self,
        request: SetLevelRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.connection.set_level(request.level.into());
        Ok(())
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.known_resource(&request.uri)?;
        let Some(changes) = &self.shared.features.changes else {
            return Err(ErrorData::internal_error("nothing changes", None));
        };
        self.connection.subscribe(request.uri, changes).map_err(|_| {
            ErrorData::invalid_params(
                "this session has too many subscriptions; end one with `resources/unsubscribe`",
                None,
            )
        })
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.connection.unsubscribe(&request.uri);
        Ok(())
    }

    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        if let Some(changes) = &self.shared.features.changes {
            self.connection.follow(changes.listen(), context.peer);
        }
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        // From now on, because the client is told that it is heard before it is.
        self.connection.hear(self.shared.features.changes.as_ref()?.listen());
        Some(self.accepted(requested))
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        match (self.connection.heard(), &self.shared.features.changes) {
            (Some(heard), Some(changes)) => listen::listen(context, heard, changes).await,
            _ => Ok(()),
        }
    }

    async fn on_custom_request(
        &self,
        request: CustomRequest,
        _context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        // Methods that there are not have been refused: these are ours, with parameters that rmcp cannot read.
        Err(ErrorData::invalid_params(unfit_params(&request.method, request.params.as_ref()), None))
    }
}

/// Why the parameters of a method that there is do not fit it.
fn unfit_params(method: &str, params: Option<&Value>) -> String {
    match params.and_then(|params| params.get("arguments")) {
        Some(arguments) if method == "tools/call" && !arguments.is_object() => {
            "`arguments` of `tools/call` must be an object".to_owned()
        }
        _ => format!("the parameters do not fit `{method}`"),
    }
}

impl Handler {
    /// Who asks: read from this very request, never from what a session knew when it began.
    fn principal(&self, context: &RequestContext<RoleServer>) -> Result<Arc<Principal>, ErrorData> {
        if let Some(local) = &self.shared.local {
            return Ok(Arc::clone(local));
        }
        let parts = context.extensions.get::<Parts>();
        let principal = parts.and_then(|parts| parts.extensions.get::<Arc<Principal>>()).cloned();
        principal.ok_or_else(|| ErrorData::internal_error("the request has no principal", None))
    }
}

/// The ids of the request. This is a task of rmcp's own: without them an audit line would not be found again.
fn ids(context: &RequestContext<RoleServer>) -> Option<Ids> {
    context.extensions.get::<Parts>()?.extensions.get::<Ids>().cloned()
}

/// With its ids, and a panic as an error: rmcp runs calls on tasks of its own, where the layer around the routes cannot
/// catch it, and nobody would ever answer.
///
/// Boxed, because rmcp copies this future several times on its way into a task.
fn guarded<'a, T: Send + 'a>(
    ids: Option<Ids>,
    call: impl Future<Output = Result<T, ErrorData>> + Send + 'a,
) -> BoxFuture<'a, Result<T, ErrorData>> {
    let call = unless_it_panics(call);
    match ids {
        Some(ids) => Box::pin(ids.around(call)),
        None => Box::pin(call),
    }
}

/// A panic as an error, in a caller's own terms. No `async fn`: that would hold the call twice.
pub(super) fn unless_it_panics<T>(
    call: impl Future<Output = Result<T, ErrorData>>,
) -> impl Future<Output = Result<T, ErrorData>> {
    // The panic hook has logged what happened and where.
    AssertUnwindSafe(call)
        .catch_unwind()
        .map(|answer| answer.unwrap_or_else(|_cause| Err(ErrorData::internal_error("internal error", None))))
}
