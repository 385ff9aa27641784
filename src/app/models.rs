//! The configured models as providers.

use crate::config::{Config, Provider};
use crate::domain::Price;
use crate::edge::{SystemClock, SystemEntropy};
use crate::engine::PricedModel;
use crate::model::{
    ModelError, ModelProvider, Ollama, OllamaOptions, OpenAi, OpenAiOptions, Profile, ProfileError, ReplayModel,
    Standing,
};
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

/// The measurement of `model` that is kept beside the store at `store`; `None` without one, and when
/// it is about another model or address.
///
/// # Errors
/// When it is there and cannot be used.
pub fn profile(model: &crate::config::Model, store: &Path) -> Result<Option<Profile>, ProfileError> {
    let kept = Profile::read(&Profile::path(store, &model.name))?;
    Ok(kept.filter(|profile| profile.is_of(&model.name, &model.model, &model.base_url)))
}

/// All models that are configured, with what they cost and how they did when they were measured.
///
/// # Errors
/// When the settings of one cannot work.
pub(super) fn models(config: &Config) -> Result<Vec<PricedModel>, ModelError> {
    let priced = |model: &crate::config::Model| {
        let profile = profile(model, &config.places.store).unwrap_or_else(|error| {
            // It counts as not measured, which permits less than any good measurement.
            tracing::warn!(model = %model.name, %error, "the model's profile is not used");
            None
        });
        Ok(PricedModel {
            provider: self::model(model, profile.as_ref().and_then(Profile::window_tokens))?,
            pulse: Arc::default(),
            standing: profile.as_ref().map(Standing::of).unwrap_or_default(),
            price: Price {
                input_per_mtok: model.price.input_per_mtok,
                output_per_mtok: model.price.output_per_mtok,
                cached_per_mtok: model.price.cached_per_mtok,
            },
            cheap: model.cheap,
        })
    };
    config.models.iter().map(priced).collect()
}

/// The model that `model` configures. `measured_window` counts where the configuration says nothing.
///
/// # Errors
/// When its settings cannot work.
pub fn model(model: &crate::config::Model, measured_window: Option<u64>) -> Result<Arc<dyn ModelProvider>, ModelError> {
    let context_tokens = model.context_tokens.or(measured_window);
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy::default()));
    Ok(match model.provider {
        Provider::Openai => {
            let options = OpenAiOptions {
                api_key: model.api_key.clone(),
                timeout: model.timeout,
                context_tokens,
                stream: model.stream,
                pin: model.pin.clone(),
                structured: model.structured,
                cache: model.cache,
                ..OpenAiOptions::new(&model.name, &model.model, &model.base_url)
            };
            Arc::new(OpenAi::new(options, clock, entropy)?)
        }
        Provider::Ollama => {
            let options = OllamaOptions {
                api_key: model.api_key.clone(),
                timeout: model.timeout,
                context_tokens,
                stream: model.stream,
                pin: model.pin.clone(),
                structured: model.structured,
                num_ctx: model.num_ctx,
                pull: model.pull,
                ..OllamaOptions::new(&model.name, &model.model, &model.base_url)
            };
            Arc::new(Ollama::new(options, clock, entropy)?)
        }
        Provider::Replay => {
            let text = recording(model.file.as_deref().unwrap_or(Path::new("")))
                .map_err(|what| ModelError::Settings { model: model.name.clone(), what })?;
            Arc::new(ReplayModel::read(&model.name, &text)?.strict(model.strict))
        }
    })
}

/// A script or transcript.
fn recording(path: &Path) -> Result<String, String> {
    /// Twice what one transcript answers at most.
    const MOST: u64 = 128 << 20;
    let shown = path.display();
    let mut text = String::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(MOST + 1).read_to_string(&mut text));
    match read {
        Err(error) => Err(format!("its file {shown} cannot be read ({error})")),
        Ok(_) if text.len() as u64 > MOST => Err(format!("its file {shown} is larger than 128 MiB")),
        Ok(_) => Ok(text),
    }
}
