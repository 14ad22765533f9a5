-- the enumerations of a run's results
CREATE TYPE side AS ENUM ('dest', 'src');
CREATE TYPE component AS ENUM ('head', 'mlp', 'embed', 'pos_embed', 'bias');
CREATE TYPE count_kind AS ENUM ('prompts', 'firings', 'visits');
CREATE TYPE scope AS ENUM ('global', 'local_qk', 'local_qkv');
CREATE TYPE kind AS ENUM ('ablate', 'boost');
CREATE TYPE control AS ENUM ('signal', 'random');
CREATE TYPE circuit_control AS ENUM ('traced', 'random');
