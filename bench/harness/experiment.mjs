// The experiment that is decided by all: a targeting condition over two attributes, three cells.
export const EXPERIMENT = 'ranker-exp';
export const CELLS = { 1: 0.5, 2: 0.3, 3: 0.2 };
export const COUNTRIES = ['CA', 'US'];
export const DEVICES = ['mobile', 'tv'];
