//! The admin listener: metrics and usage need the token, health checks do not.

use anyhow::Result;
use bytes::Bytes;
use http::Request;
use personaroute_harness::{
    upstream::{FakeUpstream, Reply},
    wire,
};

use super::test_gateway::{ByPrice, TestGateway, environment, two};

async fn status(gateway: &TestGateway, path: &str, authorization: Option<&str>) -> Result<u16> {
    let mut request = Request::get(path).header("host", gateway.admin.to_string());
    if let Some(value) = authorization {
        request = request.header("authorization", value);
    }
    Ok(wire::open(gateway.admin, request.body(Bytes::new())?).await?.finish().await?.status)
}

#[tokio::test]
async fn metrics_and_usage_need_the_token_and_health_checks_do_not() -> Result<()> {
    let upstream = FakeUpstream::always(Reply::chat("ok"))?;
    let gateway = TestGateway::start(&two(&upstream, &upstream, "admin_token: '${ADMIN_TOKEN}'"), ByPrice)?;
    let token = format!("Bearer {}", environment("ADMIN_TOKEN").unwrap());
    for path in ["/metrics", "/usage"] {
        assert_eq!(status(&gateway, path, None).await?, 401, "{path}");
        assert_eq!(status(&gateway, path, Some("Bearer another")).await?, 401, "{path}");
        assert_eq!(status(&gateway, path, Some(&token)).await?, 200, "{path}");
    }
    for path in ["/healthz", "/readyz"] {
        assert_eq!(status(&gateway, path, None).await?, 200, "{path}");
    }
    Ok(())
}
