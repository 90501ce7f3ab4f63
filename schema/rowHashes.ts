/**
 * sha256 of canonical rows (gpu-runtime/data/canonicalRows.ts) by source. Of rows that were proven to give lm-evaluation-harness 0.3.0's
 * own requests (ARC, OpenBookQA, PIQA, WinoGrande, BoolQ, TruthfulQA, GSM8K, MMLU, wikitext), and of copies of the originals (IFEval,
 * BIG-bench) or rows derived by the published rule (AGIEval).
 */
export const rowHashes: Readonly<Record<string, string>> = {
  'arc_easy/test': '8d1c96df9123da784c4403e0c18e024a521349caced201002bd880b24c460083',
  'openbookqa/test': 'd558cc5b6cf7d453dfd6f82ac13fd9fc4c1285ded7956340fd5637669ced4795',
  'winogrande/validation': '8e8671d6097f314f4ddc6c9734e382810926a1e0c3e76664715786d25b4a78d4',
  'piqa/validation': 'eb2771605e29541f114d454e0c029add07066c1620c9e7789ed6ff243d59065f',
  'boolq/validation': 'bb184fa640b198896e875f1dbbb939eb9883fd304fa56107f2f57936ba093c5a',
  'truthfulqa_mc/validation': 'a2901051255e7fedc8033decb549385b262e2265edbeafb4324826491aa7cad6',
  'gsm8k/test': '32c548f08195e19e33408b844dd7be6aa4bcae457d957bc05909ff4bd4a00595',
  'ifeval/train': '1d5b6b47d9c9302a5caeb58ba3b1cf55e37a531822eff23bb9c0b7562ed32f3b',
  'wikitext/test': '0c33d0dc0381a28c333023420c6f50e84693eea520d5bdc7392f689323551054',
  'agieval_aqua_rat/test': 'e54355b317e4e6ab0a26f788c9193d3d9c527d6618218d43563610a5faf44c73',
  'agieval_lsat_ar/test': '66d120965b3e767aba94607c49f392db5edcf57c576e20a9c485228be8e72823',
  'agieval_sat_en/test': 'e1974e766f979523ed1718dda66d81622431656f5ea2fabfbb2a32e8b7835f61',
  'agieval_sat_math/test': '8b07b4273849c4f5d64987012d745c2ca2f958cfaf51be0b2a6f90f27fac6775',
  'bigbench_causal_judgement/default':
    '5933dce771df6ca50d7cebdf8b9563ef742cdfcf0d930f9a0fa8516d28d0dc14',
  'bigbench_date_understanding/default':
    'b3934e2ccad59bfad6d2fbb4e1fdc5f224629d3ab31d5bbdaf2153226fe5d07b',
  'bigbench_disambiguation_qa/default':
    '63d6357ebed1edf7ac42a5aa566cf494b6ab211c77b672958357754dff16106e',
  'bigbench_logical_deduction_five_objects/default':
    'ff5adbe5a5faf69e18211784ed0d8a6f29c147716b09e10b128b0a81874ed385',
  'bigbench_logical_deduction_three_objects/default':
    '1051c38493a3aab294c05700b64f10eba4a88da4a2a5f173d0384effbb609412',
  'bigbench_movie_recommendation/default':
    '4161bcc70d3b9300fda6dbd5a2966f10f7de235154634de91989efbe59b113e1',
  'bigbench_navigate/default': '9a2107381e15a27fd6cdc2127653a6a63728c8152aa60452d7813208667ef602',
  'bigbench_snarks/default': '99040cc37e9b9c379420c77a46e07dd25c1493cf5dd714f8514336fbca88f93f',
  'bigbench_temporal_sequences/default':
    'bce8b73e29a39feaa847a7eb41f62e8b053b1115768839824d0800d030d9109b',
  'mmlu_abstract_algebra/test': '53b44d9b56357550d64d365d723b92f4db2794ef0afc82763611a77152493f3a',
  'mmlu_abstract_algebra/dev': '7e9362c57aad3976988840eca24732b743f7a80b2d4be7ee95bf763336943ac2',
  'mmlu_anatomy/test': 'a2e62e98cbabec413a2a93df121fb7ab6c9016c2a6801e3ae4fcb1e33427fe1e',
  'mmlu_anatomy/dev': 'c728559ddaacf16a68959483b8e14cd72f51813a592fd1ad4aec305e90b53633',
  'mmlu_astronomy/test': '809682060ad205ce2d6c2a33cede059200b4724de870ea75d0691c10e757ec0f',
  'mmlu_astronomy/dev': 'a0fd45faf705d4a830ed91f58b48ba278a2d145912c76602cfe6b3ca00b3c390',
  'mmlu_business_ethics/test': 'f9d00b3148b3a5dcce8850bee971fa390f75184710fa98fef6237218d2058e90',
  'mmlu_business_ethics/dev': '4380ff61742d20feeb4baac9d3c506c81bf00c87edef88f158674d7e6b9ace19',
  'mmlu_clinical_knowledge/test':
    'b06da02ec5ff78a7eef15ab96e85435c6d41415c045ebdabb3928210b1c1acb3',
  'mmlu_clinical_knowledge/dev': '798fea7f0f03aa771ac488b5a10eb7e3465d8c430af3b021539c6c1e86974426',
  'mmlu_college_biology/test': '1310ce6fba2b85544804737350d53f7ad2a4c5d5a2eb7590a846d4cb9eae1a3e',
  'mmlu_college_biology/dev': 'b4f2591a8c75d50e9ce23941091a5baa5dffc3192d31958726c9359a907d07a3',
  'mmlu_college_chemistry/test': '5b69d6b5dc0571ee6f6832fbf7eb66e2638b1964d9c998cdd3d9fd5888f7ac5d',
  'mmlu_college_chemistry/dev': '4a16294fa2f9b57c616e53d060e5072913b7c88d6f1e10c2b27501d9255e5a48',
  'mmlu_college_computer_science/test':
    'd91185a610d23d8adc81626edaa11e7e7f4c4ce498c537d9586bc6783998ede2',
  'mmlu_college_computer_science/dev':
    '87657ed5471bcaf9fa79620c9a2e46013c8621f268afd02504933ac68919b7c6',
  'mmlu_college_mathematics/test':
    'df02dd90c6aee4e127daea38b9c5a4e1d9b1535d1446c4950af366b8ef645c99',
  'mmlu_college_mathematics/dev':
    '6756ba3a7ada3ace12a70e414c2ea752cb7baea495b6bc2bd5145317cc12c03f',
  'mmlu_college_medicine/test': 'fd80acff0ccc435a3f43f94124de2c3ad6f142ff907779ae3c96994b6e10936a',
  'mmlu_college_medicine/dev': 'bef0ad27602d67dbb25fcaa03edafa8e5c9a51f5dc4ba623cb8e101f2af6f95b',
  'mmlu_college_physics/test': '9aa73b6f734bebb82539e6931c2960f59ed1b9499c79a723be4a8cb7022135dc',
  'mmlu_college_physics/dev': 'dcc4604d20a2f743b75a7ba416ae83e4e30ae4ad1767bbfec9df61e9c659f792',
  'mmlu_computer_security/test': '6d6f40ee24c95731adf2273b1a15f1c40a45a6236e488dc2e44c6706e6be3663',
  'mmlu_computer_security/dev': '47079f2d1bddb198750e9c2c55809e40e7259b85889a838deb7d17e238b8551a',
  'mmlu_conceptual_physics/dev': '00b0aeb45cd0f1d69942a6549aa3ce60bb3fbbf181604cb88db7fedfdb5defc9',
  'mmlu_econometrics/dev': 'b42277a0c6bcb20fdad6289a503d15f8900eaf388da4700d784702d1885a5b88',
  'mmlu_electrical_engineering/dev':
    'e497285db0e13cb458bc25c0ad2f5cd7558dc71f353adfe6a5218c8adffe4a81',
  'mmlu_elementary_mathematics/dev':
    '596932eb18438a00525bf75982db1acba50cc965d5c79453d8a4e901d6b5e602',
  'mmlu_formal_logic/dev': 'd69c6f3636fe2f56eeca9f9e6eb965612f8763f79d2f4878f46bc92d1ed293b4',
  'mmlu_global_facts/dev': '414a6725ae77461cd732daf4c4bbe204a53dc9a862d58cf556ccf4681c05124a',
  'mmlu_high_school_biology/dev':
    '80ce3b4ad58296d734c34dddaef50c415c643df97f202cc34b885f46119c0a97',
  'mmlu_high_school_chemistry/dev':
    'e67b5e7a431a8a9afb317f71aed8a90d470798ec4c2d3af1eda11f4820c6b82a',
  'mmlu_high_school_computer_science/dev':
    'e852ff60fd715f3a0d4ff5dfc5007a5d06a18a46cb09b48842c06a63105e776a',
  'mmlu_high_school_european_history/dev':
    '3400b442735e53b958e2daf49245ea9a49702d5544415116cdc480f1a175c86b',
  'mmlu_high_school_geography/dev':
    'bbe5a51a71b678a5423d0f3c038b166e8476ffdbe50edd288a98e77f64e2a751',
  'mmlu_high_school_government_and_politics/dev':
    'c69396731bb4a68150a369742a5c055bbdcaf78478496982839e4ffedcb575fc',
  'mmlu_high_school_macroeconomics/dev':
    '47a755be7273b0188a47fa62856f756e163b20425ee6ecf4fe76271420039cd4',
  'mmlu_high_school_mathematics/dev':
    '2064e0b8a8e9bdd2f7d28f53bae0c7bf627db6e92796464c8f3b94010080308a',
  'mmlu_high_school_microeconomics/dev':
    'e322ccf86b8221e7affc1a40446004d216e788ae4ce9df9054ea758c460e5613',
  'mmlu_high_school_physics/dev':
    '5d6911d78934f1ba6accf58819bc6731db8c7f9cd27313f4f135cb6ad63e26ec',
  'mmlu_high_school_psychology/dev':
    '684f8f73a21263d3d54254d6e78604cbd71bce099afe32149b1241873c0b7db1',
  'mmlu_high_school_statistics/dev':
    'f4e090ae06523731847a754bd7d8c64beb5b3da1aa846d65f1cdb8ff2039e562',
  'mmlu_high_school_us_history/dev':
    'da1dd3a30ffba4c77ed1c8b5f9307a86455686d7123cb00a830b47df3d6aadd9',
  'mmlu_high_school_world_history/dev':
    'c31ae37afa5a0d79615acd62c56df31a231c1e7a91d4b72ad897bfa78c5fa88f',
  'mmlu_human_aging/dev': 'cce4e3ef215c0f5050dfddd9fddd6ec28b1063ae3238926f7a6f1d1e7005fe37',
  'mmlu_human_sexuality/dev': '1cbdb43e468dca3d6921066914b8e07e80bdee69bb84ab849335141c0b3220ba',
  'mmlu_international_law/dev': '51438637d21eb156b495bae5eb911c3be2948c45f2995d184bf89f82e667807a',
  'mmlu_jurisprudence/dev': '94b50042adb7cb3073c34e6ecaf1ea96150bbe5dbc833ff4b7f3f393648e1078',
  'mmlu_logical_fallacies/dev': 'e8f6eb2b3fdeab0e04e44a39ed19a6bd5c74a619179e873eea97f2b097f65f9e',
  'mmlu_machine_learning/dev': 'a32e52faef13df2766e12e445d5d16f7e40e7d11256dda384ab5212a9b6b76e5',
  'mmlu_management/dev': 'fe80d35efaff7916a088cad3ff0f10be1e60350d1d1ce675dead95c17a78c858',
  'mmlu_marketing/dev': '13349169b84e9d964778ec7646bd3ad9a5a0e75016ef232eb4bf0b60b4443cd2',
  'mmlu_medical_genetics/dev': '9ad6aa5a72565269ab78da76ed29563d561eb672846bd9fbdc98671553149746',
  'mmlu_miscellaneous/dev': 'bbf958dcbab7a51cff4e984459142191d0d52dd3c6477a17f7d5edd2ff41b158',
  'mmlu_moral_disputes/dev': 'd3e8bb6609ded76976bec62f10a67e25f60fa16d5a0790d8e71c341a141b1fc6',
  'mmlu_moral_scenarios/dev': '0679dc351f196225ffd02e013457f19c4f4e28819be7c06cd41cf9441f049c80',
  'mmlu_nutrition/dev': 'fc9d6985aaa4fa8e447fc02cfaf53337589a67aafe2b84f0ba0b9be829746e11',
  'mmlu_philosophy/dev': '68404bdea7cdb855d715098b2bca823160254dc39d1f166700fd8f6091631041',
  'mmlu_prehistory/dev': 'f5d5355ed26b989720e40704ca462153be2bac8f50212aa1f3845fee221822b8',
  'mmlu_professional_accounting/dev':
    'df91d3d791d286fb8667af25266d114860f130509fd8ad50319e5e5618958291',
  'mmlu_professional_law/dev': '27a70df185f2ef2be13848d1c083cfb2683ff448140f9f215b4e615a7b92b1f3',
  'mmlu_professional_medicine/dev':
    '79fa11560b9fafb9680c7a090a6ee07874963685fbf5ed10a40aa5224144dd44',
  'mmlu_professional_psychology/dev':
    'a03c1a02aa0afefe4965d30869db23affc17b7a897e10ff8991464780deef88d',
  'mmlu_public_relations/dev': '8717f36a48a108841e4d195a61d675542054e49b944563f75b32966d05b599d3',
  'mmlu_security_studies/dev': 'b22c6bd3ea36ee26d9739b2fa20f1f8756d52a5d373a7941bb00e1c227720756',
  'mmlu_sociology/dev': 'db68cefdb5adcd1b87f020ecbe4eaa4284b0803ea12a1fbc5dc7a855f04cb60a',
  'mmlu_us_foreign_policy/dev': '599764d192742eda724e2e02a745cd7f1dd8f243aa3d80e1c5e12f9fb24750b4',
  'mmlu_virology/dev': '286388076ce8aa8adc5010f5df0020d9be109b7c4744e3b1f0f2e6ba7f73d34a',
  'mmlu_world_religions/dev': '18a730828b1de449b4b13e0b907a17def9a711e2b8c3973c2db5b2940b95b065',
}
