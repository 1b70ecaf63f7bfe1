//! The gateway in process, between a client and fake upstreams, with a scorer whose ranking each test knows.
//!
//! What a gateway must not lose, and the test that shows it:
//!
//! | behaviour | test |
//! | --- | --- |
//! | unknown parameters kept | `forwarding::every_byte_but_the_model_reaches_the_upstream` |
//! | 429 with `retry-after` kept | `forwarding::an_upstreams_refusal_comes_back_with_its_status_headers_and_body` |
//! | 500 passed on as configured | `fallback::which_statuses_move_on_is_configured` |
//! | 500 fallen back as configured | `fallback::a_server_error_moves_on_to_the_next_llm_and_the_header_says_so` |
//! | events flushed as they come | `streaming::each_event_arrives_before_the_next_one_is_written` |
//! | leaving cancels, streaming | `client_disconnect::leaving_a_stream_cancels_the_upstream_call` |
//! | leaving cancels, not streaming | `client_disconnect::leaving_before_the_answer_cancels_the_upstream_call` |
//! | upstream dies mid-stream | `streaming::a_stream_cut_by_the_upstream_ends_in_an_error_event_and_never_in_done` |
//! | SIGTERM mid-stream completes | `program::signals::sigterm_in_the_middle_of_a_stream_lets_it_complete` |
//! | 200, then silence, falls back | `fallback::a_200_and_then_silence_moves_on` |
//! | spoofed headers refused | `identity::a_bound_key_is_its_user_and_cannot_pretend_to_be_another` |
//! | overload sheds with `retry-after` | `overload::requests_over_the_limit_are_shed_with_retry_after_until_a_place_is_free` |
//! | overload spares the accepted | `overload::under_overload_requests_are_shed_and_the_p99_of_accepted_ones_stays_below_ten_times_the_unloaded_p99` |

mod test_gateway;
mod forwarding;
mod streaming;
mod fallback;
mod fallback_order;
mod refusals;
mod deciding;
mod client_disconnect;
mod draining;
mod endpoints;
mod resilience;
mod identity;
mod budget;
mod sharing;
mod stickiness;
mod reloading;
mod overload;
mod tls;
mod tls_upstreams;
mod chaos;
mod admin_token;
mod hedging;
mod slow_clients;
mod idle_connections;
mod messages;
mod chat_over_anthropic;
mod messages_over_openai;
mod responses;
mod cors;
mod count_tokens;
mod traces;
mod chat_page;
mod learning;
