//! The Lambda binary of `verify-face`: it wires and serves.

use lambda_kit::{Environment, StartError};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    lambda_kit::init_logs();
    let aws = aws::load().await;
    let start = wiring::rotating(Environment::from_process(), &aws, verify_face::wire);
    let (verify_face, ()) = tokio::join!(start, aws.warm());
    lambda_kit::serve(verify_face?).await
}
