//! The Lambda binary of `graph-check`: it wires and serves.

use lambda_kit::{Environment, StartError};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    lambda_kit::init_logs();
    let aws = aws::load().await;
    aws.warm().await;
    let graph_check = graph_check::wire(&Environment::from_process(), &aws)?;
    lambda_kit::serve(graph_check).await
}
