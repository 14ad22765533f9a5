-- the enumerations of a run's results
CREATE TYPE side AS ENUM ('dest', 'src');
CREATE TYPE component AS ENUM ('head', 'mlp', 'embed', 'pos_embed', 'bias');
CREATE TYPE count_kind AS ENUM ('prompts', 'firings', 'visits');
