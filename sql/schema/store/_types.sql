-- the enumerations of a store
CREATE TYPE side AS ENUM ('dest', 'src');
CREATE TYPE component AS ENUM ('head', 'mlp', 'embed', 'pos_embed', 'bias');
