//! Tests of the whole of prescription checking, on small tables and on the real ones.

mod checks;
mod context;
mod doses;
mod loading;
mod names;
mod patient;
mod properties;
mod real;

use super::{Action, AllergyEntry, Finding, Kind, Line, Order, PrescriptionKnowledge, Report};
use crate::tables::files::Files;

/// Small tables of the real shape. The facts in them are only as true as the tests need.
pub(super) const TABLES: &[(&str, &str)] = &[
    ("sources", "id,citation,url,licence,note\nbook,一本书,,,\nlaw,一部规章,,,\nmemory,记忆,,,\n"),
    (
        "ingredients",
        "id,name_zh,name_en,kind,source,status
paracetamol,对乙酰氨基酚,paracetamol,chemical,book#1,draft
chlorphenamine,氯苯那敏,chlorphenamine,chemical,book#2,draft
vitamin_c,维生素C,ascorbic acid,chemical,book#3,draft
ibuprofen,布洛芬,ibuprofen,chemical,book#4,draft
diclofenac,双氯芬酸,diclofenac,chemical,book#5,draft
warfarin,华法林,warfarin,chemical,book#6,draft
amoxicillin,阿莫西林,amoxicillin,chemical,book#7,draft
clavulanic_acid,克拉维酸,clavulanic acid,chemical,book#8,draft
cefalexin,头孢氨苄,cefalexin,chemical,book#9,draft
cefixime,头孢克肟,cefixime,chemical,book#10,draft
ceftriaxone,头孢曲松,ceftriaxone,chemical,book#11,draft
levofloxacin,左氧氟沙星,levofloxacin,chemical,book#12,draft
nimodipine,尼莫地平,nimodipine,chemical,book#13,draft
nitrendipine,尼群地平,nitrendipine,chemical,book#14,draft
amlodipine,氨氯地平,amlodipine,chemical,book#15,draft
nitroglycerin,硝酸甘油,nitroglycerin,chemical,book#16,draft
glycerol,甘油,glycerol,chemical,book#17,draft
sildenafil,西地那非,sildenafil,chemical,book#18,draft
sodium_chloride,氯化钠,sodium chloride,chemical,book#19,draft
glucose,葡萄糖,glucose,chemical,book#20,draft
calcium_gluconate,葡萄糖酸钙,calcium gluconate,chemical,book#21,draft
insulin,胰岛素,insulin,biological,book#22,draft
metronidazole,甲硝唑,metronidazole,chemical,book#23,draft
ethanol,乙醇,ethanol,chemical,book#24,draft
hydrochlorothiazide,氢氯噻嗪,hydrochlorothiazide,chemical,book#25,draft
valsartan,缬沙坦,valsartan,chemical,book#26,draft
lithium,锂,lithium,chemical,book#27,draft
clopidogrel,氯吡格雷,clopidogrel,chemical,book#28,draft
aspirin,阿司匹林,aspirin,chemical,book#29,draft
diltiazem,地尔硫䓬,diltiazem,chemical,book#30,draft
bisoprolol,比索洛尔,bisoprolol,chemical,book#31,draft
bupleurum,柴胡,bupleurum,herb,book#32,draft
realgar,雄黄,realgar,herb,book#33,draft
miconazole,咪康唑,miconazole,chemical,book#34,draft
sulfadiazine,磺胺嘧啶,sulfadiazine,chemical,book#35,draft
epinephrine,肾上腺素,epinephrine,chemical,book#36,draft
chlorpromazine,氯丙嗪,chlorpromazine,chemical,book#37,draft
contraceptives_unspecified,避孕药（未指明品种）,contraceptives,other,book#98,draft
timolol,噻吗洛尔,timolol,chemical,book#38,draft
verapamil,维拉帕米,verapamil,chemical,book#39,draft
budesonide,布地奈德,budesonide,chemical,book#40,draft
itraconazole,伊曲康唑,itraconazole,chemical,book#41,draft
herbs_unlisted,未编录药材,herbs,herb,book#99,draft
",
    ),
    (
        "classes",
        "id,name_zh,name_en,parent,source,status
beta_lactams,β-内酰胺类,beta-lactams,,book,draft
penicillins,青霉素类,penicillins,beta_lactams,book,draft
cephalosporins,头孢菌素类,cephalosporins,beta_lactams,book,draft
side_chain,侧链相近的头孢菌素,similar side chain,cephalosporins,book,draft
nsaids,解热镇痛抗炎药,NSAIDs,,book,draft
quinolones,喹诺酮类,quinolones,,book,draft
insulins,胰岛素类,insulins,,book,draft
calcium_injectable,注射用钙剂,injectable calcium,,book,draft
sulfonamides,磺胺类,sulfonamides,,book,draft
sedatives,镇静药,sedatives,,book,draft
beta_blockers,β受体阻滞药,beta blockers,,book,draft
",
    ),
    (
        "class_members",
        "class,ingredient,source,status
penicillins,amoxicillin,book,draft
cephalosporins,cefixime,book,draft
cephalosporins,ceftriaxone,book,draft
side_chain,cefalexin,book,draft
nsaids,ibuprofen,book,draft
nsaids,diclofenac,book,draft
nsaids,aspirin,book,draft
quinolones,levofloxacin,book,draft
insulins,insulin,book,draft
calcium_injectable,calcium_gluconate,book,draft
sulfonamides,sulfadiazine,book,draft
sedatives,chlorphenamine,book,draft
sedatives,chlorpromazine,book,draft
beta_blockers,timolol,book,draft
",
    ),
    (
        "medicines",
        "code,name_zh,name_en,kind,category,subcategory,ingredients,aliases,forms_strengths,routes,specialist,source,status
W001,对乙酰氨基酚,Paracetamol,western,解热镇痛药,,paracetamol,扑热息痛,片剂：0.5g,oral,,book#1,draft
W002,布洛芬,Ibuprofen,western,解热镇痛药,,ibuprofen,异丁苯丙酸,片剂,oral,,book#4,draft
W003,双氯芬酸钠,Diclofenac,western,解热镇痛药,,diclofenac,双氯芬酸,片剂,oral|topical,,book#5,draft
W004,华法林,Warfarin,western,抗凝血药,,warfarin,华法林钠,片剂,oral,△,book#6,draft
W005,阿莫西林,Amoxicillin,western,抗微生物药,,amoxicillin,羟氨苄青霉素,胶囊,oral,,book#7,draft
W006,阿莫西林克拉维酸钾,Amoxicillin and Clavulanate,western,抗微生物药,,amoxicillin|clavulanic_acid,,片剂,oral|iv,,book#8,draft
W007,头孢氨苄,Cefalexin,western,抗微生物药,,cefalexin,先锋4号,胶囊,oral,,book#9,draft
W008,头孢克肟,Cefixime,western,抗微生物药,,cefixime,,胶囊,oral,,book#10,draft
W009,头孢曲松,Ceftriaxone,western,抗微生物药,,ceftriaxone,头孢曲松钠,注射用无菌粉末,iv|im,,book#11,draft
W010,左氧氟沙星,Levofloxacin,western,抗微生物药,,levofloxacin,,片剂,oral|iv|ophthalmic,,book#12,draft
W011,尼莫地平,Nimodipine,western,神经系统用药,,nimodipine,,片剂,oral,,book#13,draft
W012,尼群地平,Nitrendipine,western,心血管系统用药,,nitrendipine,,片剂,oral,,book#14,draft
W013,氨氯地平,Amlodipine,western,心血管系统用药,,amlodipine,络活喜,片剂,oral,,book#15,draft
W014,硝酸甘油,Nitroglycerin,western,心血管系统用药,,nitroglycerin,,片剂,sublingual,,book#16,draft
W015,甘油,Glycerol,western,消化系统用药,,glycerol,,栓剂,rectal,,book#17,draft
W016,氯化钠,Sodium Chloride,western,水电解质,,sodium_chloride,NS|生理盐水|0.9%氯化钠注射液,注射液,iv,,book#19,draft
W017,葡萄糖,Glucose,western,水电解质,,glucose,GS,注射液,iv|oral,,book#20,draft
W018,葡萄糖酸钙,Calcium Gluconate,western,维生素、矿物质类药,,calcium_gluconate,,片剂、注射液,oral|iv,,book#21,draft
W019,胰岛素,Insulin,western,降血糖药,,insulin,短效胰岛素|中效胰岛素,注射液,sc,,book#22,draft
W020,维生素C,Vitamin C,western,维生素、矿物质类药,,vitamin_c,,片剂,oral,,book#3,draft
W021,甲硝唑,Metronidazole,western,抗微生物药,,metronidazole,灭滴灵,片剂,oral|iv|vaginal,,book#23,draft
W022,缬沙坦氢氯噻嗪,Valsartan and Hydrochlorothiazide,western,心血管系统用药,,valsartan|hydrochlorothiazide,,片剂,oral,,book#26,draft
W023,氢氯噻嗪,Hydrochlorothiazide,western,泌尿系统用药,,hydrochlorothiazide,,片剂,oral,,book#25,draft
W024,碳酸锂,Lithium Carbonate,western,精神药,,lithium,,片剂,oral,,book#27,draft
W025,氯吡格雷,Clopidogrel,western,血液系统用药,,clopidogrel,,片剂,oral,,book#28,draft
W026,阿司匹林,Aspirin,western,血液系统用药,,aspirin,乙酰水杨酸,片剂,oral,,book#29,draft
W027,地尔硫䓬,Diltiazem,western,心血管系统用药,,diltiazem,,片剂,oral,,book#30,draft
W028,比索洛尔,Bisoprolol,western,心血管系统用药,,bisoprolol,,片剂,oral,,book#31,draft
W029,咪康唑,Miconazole,western,皮肤科用药,,miconazole,,乳膏,topical|vaginal,,book#34,draft
W030,磺胺嘧啶,Sulfadiazine,western,抗微生物药,,sulfadiazine,,片剂,oral,,book#35,draft
W031,肾上腺素,Epinephrine,western,抗休克药,,epinephrine,,注射液,iv|im|sc,,book#36,draft
W032,氯丙嗪,Chlorpromazine,western,精神药,,chlorpromazine,冬眠灵,片剂,oral|im,,book#37,draft
W033,口服补液盐,Oral Rehydration Salts,western,水电解质,,sodium_chloride|glucose,ORS,散剂,oral,,book,draft
W034,避孕药,Contraceptives,western,妇产科用药,,contraceptives_unspecified,,片剂,oral,,book#98,draft
W035,噻吗洛尔,Timolol,western,眼科用药,,timolol,,滴眼剂,ophthalmic,,book#38,draft
W036,维拉帕米,Verapamil,western,心血管系统用药,,verapamil,,片剂,oral,,book#39,draft
W037,布地奈德,Budesonide,western,呼吸系统用药,,budesonide,,吸入剂,inhaled,,book#40,draft
W038,伊曲康唑,Itraconazole,western,抗微生物药,,itraconazole,,胶囊,oral,,book#41,draft
T001,柴胡注射液,,patent,内科用药,,bupleurum,,注射液,im,,book#32,draft
T002,小柴胡颗粒（片）,,patent,内科用药,,bupleurum|herbs_unlisted,小柴胡颗粒|小柴胡片,颗粒剂,oral,,book,draft
T003,牛黄解毒丸（片）,,patent,内科用药,,realgar|herbs_unlisted,牛黄解毒丸|牛黄解毒片,丸剂,oral,,book#33,draft
T004,藿香正气水（口服液、软胶囊）,,patent,内科用药,,ethanol|herbs_unlisted,藿香正气水|藿香正气口服液|藿香正气软胶囊,酊剂,oral,,book#24,draft
T005,六味地黄丸（胶囊）,,patent,内科用药,,herbs_unlisted,六味地黄丸|六味地黄胶囊,丸剂,oral,,book,draft
",
    ),
    (
        "extra_products",
        "code,name_zh,name_en,kind,category,subcategory,ingredients,aliases,forms_strengths,routes,specialist,source,status
X001,维C银翘片,,patent,感冒用药,,paracetamol|chlorphenamine|vitamin_c|herbs_unlisted,维C银翘颗粒,片剂,oral,,memory,draft
X002,感冒灵颗粒,,patent,感冒用药,,paracetamol|chlorphenamine|herbs_unlisted,感冒灵胶囊,颗粒剂,oral,,memory,draft
X003,西地那非,Sildenafil,western,其他,,sildenafil,枸橼酸西地那非,片剂,oral,,book#18,draft
",
    ),
    (
        "interactions",
        "id,a,b,severity,effect_zh,management_zh,condition,source,status
I01,warfarin,class:nsaids,avoid,出血风险增加,改用对乙酰氨基酚,systemic_only,book#i1,draft
I02,warfarin,aspirin,contraindicated,大出血,不合用,,book#i2,draft
I03,nitroglycerin,sildenafil,contraindicated,血压骤降可致死,24小时内禁用,,book#i3,draft
I04,ceftriaxone,class:calcium_injectable,contraindicated,形成沉淀,禁止同一通路,same_route_iv,book#i4,draft
I05,metronidazole,ethanol,avoid,双硫仑样反应,改不含酒精的剂型,alcohol_in_tincture,book#i5,draft
I06,lithium,hydrochlorothiazide,avoid,锂中毒,换利尿药,,book#i6,draft
I07,clopidogrel,aspirin,avoid,出血风险增加,只在有指征时合用,no_dual_antiplatelet_indication,book#i7,draft
I08,diltiazem,bisoprolol,contraindicated,急性失代偿,禁止合用,heart_failure,book#i8,draft
I09,miconazole,warfarin,contraindicated,出血,换药,,book#i9,draft
I10,class:sedatives,class:sedatives,avoid,嗜睡,减量,additive_sedation,book#i10,draft
I11,epinephrine,chlorpromazine,avoid,血压更低,换去甲肾上腺素,not_emergency,book#i11,draft
I12,valsartan,lithium,avoid,锂浓度升高,换降压药,dose_high,book#i12,draft
I14,verapamil,class:beta_blockers,contraindicated,心跳停搏,换药,,book#i14,draft
I15,budesonide,itraconazole,avoid,激素过量,换药,systemic_only,book#i15,draft
I13,valsartan,hydrochlorothiazide,avoid,不该出现的一条,不该出现,,book#i13,draft
",
    ),
    (
        "allergy_cross",
        "id,allergen,subject,tier,risk_zh,action,source,status
A01,class:penicillins,class:penicillins,class,同属青霉素类,STOP,book#a1,draft
A02,class:penicillins,class:side_chain,cross_class,侧链相近,NEEDS_REASON,book#a2,draft
A03,class:penicillins,cefixime,cross_class,交叉过敏少见,NOTICE,book#a3,draft
A04,class:nsaids,class:nsaids,class,可交叉过敏,STOP,book#a4,draft
A05,class:insulins,class:insulins,class,可交叉过敏,NEEDS_REASON,book#a5,draft
",
    ),
    (
        "allergen_names",
        "name,allergen,source,status
青霉素,class:penicillins,memory,draft
磺胺,class:sulfonamides,memory,draft
胰岛素,class:insulins,memory,draft
海鲜,,memory,draft
",
    ),
    (
        "pregnancy",
        "id,subject,weeks_from,weeks_to,action,reason_zh,instead_zh,source,status
P01,class:quinolones,,,STOP,影响软骨,改用头孢,book#p1,draft
P02,class:nsaids,30,42,STOP,动脉导管早闭,用对乙酰氨基酚,book#p2,draft
P03,class:nsaids,20,29,NEEDS_REASON,羊水过少,用对乙酰氨基酚,book#p3,draft
P04,realgar,,,STOP,含砷,换药,book#p4,draft
P05,T003,,,STOP,说明书：孕妇禁用,换药,memory,draft
P06,valsartan,,,STOP,胎儿肾损害,换药,book#p6,draft
P07,warfarin,0,13,STOP,致畸,换药,book#p7,draft
P08,ibuprofen,,19,NOTICE,早期能不用则不用,用对乙酰氨基酚,book#p8,draft
",
    ),
    (
        "pregnancy_ok",
        "subject,note_zh,source,status
paracetamol,可用,book#o1,draft
class:penicillins,可用,book#o2,draft
class:cephalosporins,可用,book#o3,draft
clavulanic_acid,可用,book#o4,draft
sodium_chloride,可用,book#o5,draft
bupleurum,可用,book#o6,draft
",
    ),
    (
        "limits",
        "id,topic,value,unit,setting,rule_zh,review_code,source,status
L1,items_per_rx,5,item,any,每方不超过5种药品,1-11,law#6,draft
L2,quantity_outpatient,7,day,outpatient,门诊不超过7日,1-12,law#19,draft
L3,quantity_emergency,3,day,emergency,急诊不超过3日,1-12,law#19,draft
L4,long_term_rx,12,week,outpatient,长期处方不超过12周,,memory,draft
L6,long_term_rx_usual,4,week,outpatient,长期处方一般4周,,memory,draft
L7,psych2,7,day,outpatient,第二类精神药品不超过7日,1-12,law#23,draft
L8,tcm_decoction_separate,1,rule,any,饮片单独开方,,law#6,draft
L5,narcotic_injection,1,dose,outpatient,一次常用量,1-12,law#23,draft
",
    ),
    (
        "review_items",
        "code,class,zh,source,status
1-4,不规范处方,未写日月龄,law#1-4,draft
1-10,不规范处方,未写诊断,law#1-10,draft
1-14,不规范处方,抗菌药物,law#1-14,draft
2-1,用药不适宜,适应证不适宜,law#2-1,draft
2-3,用药不适宜,给药途径不适宜,law#2-3,draft
2-4,用药不适宜,不首选基本药物,law#2-4,draft
2-5,用药不适宜,用法用量不适宜,law#2-5,draft
2-6,用药不适宜,联合用药不适宜,law#2-6,draft
2-9,用药不适宜,其他,law#2-9,draft
3-1,超常处方,无适应证,law#3-1,draft
1-11,不规范处方,超过五种药品,law#1-11,draft
1-12,不规范处方,超过7日用量,law#1-12,draft
2-2,用药不适宜,遴选的药品不适宜,law#2-2,draft
2-7,用药不适宜,重复给药,law#2-7,draft
2-8,用药不适宜,相互作用,law#2-8,draft
",
    ),
    (
        "dosing",
        "id,subject,route,age_from_m,age_to_m,weight_from_kg,weight_to_kg,icd,basis,single_min,single_max,daily_min,daily_max,unit,freq_min,freq_max,days_max,single_cap,daily_cap,note_zh,source,status
D1,paracetamol,oral,144,,,,,fixed,300,600,,4000,mg,1,6,3,,,成人一次0.3至0.6g,book#d1,draft
D2,paracetamol,oral,1,144,,,,kg,10,15,,60,mg,1,4,3,600,2400,每公斤10至15mg,book#d2,draft
D3,amoxicillin,oral,168,,,,,fixed,250,1000,,4000,mg,2,4,14,,,,book#d3,draft
D4,amoxicillin,oral,1,168,,,,kg,6.7,15,20,45,mg,2,4,14,500,1500,,book#d4,draft
D5,lithium,oral,216,,,,,fixed,250,500,,1500,mg,1,3,,,,,book#d5,draft
D6,nitrendipine,oral,216,,,,,fixed,2.5,15,,15,mg,0.1,0.15,,,,只为测试的每周一次,book#d6,draft
D7,W006,oral,168,,,,,fixed,1,2,,6,片,2,3,14,,,,book#d7,draft
D8,aspirin,oral,216,,,,I25,fixed,75,100,,100,mg,1,1,,,,,book#d8,draft
D9,aspirin,oral,216,,,,,fixed,300,600,,2400,mg,1,4,7,,,,book#d9,draft
",
    ),
    (
        "cautions",
        "id,kind,subject,route,age_from_m,age_to_m,sex,icd,egfr_below,alt_from,daily_over,days_over,with,without,test,action,severity,reason_zh,instead_zh,source,status
C1,age,class:quinolones,,,216,,,,,,,,,,STOP,contraindicated,18岁以下禁用,改用头孢,book#c1,draft
C2,sex,sildenafil,,,,f,,,,,,,,,NOTICE,minor,只为测试,换药,book#c2,draft
C3,elderly,chlorpromazine,,,,,,,,,,,,,NOTICE,moderate,老年人慎用,减量,book#c3,draft
C4,lactation,chlorpromazine,,,,,,,,,,,,,NEEDS_REASON,serious,哺乳期不宜,换药,book#c4,draft
C5,disease,timolol|bisoprolol,any,,,,J45|J46,,,,,,,,STOP,contraindicated,哮喘禁用β受体阻滞药,换药,book#c5,draft
C6,renal,lithium,,,,,,60,,,,,,,NEEDS_REASON,serious,肾功能减退者锂蓄积,减量,book#c6,draft
C7,renal,lithium,,,,,,30,,,,,,,STOP,contraindicated,肾衰竭禁用,换药,book#c7,draft
C8,hepatic,paracetamol,,,,,,,3,2000mg,,,,,NEEDS_REASON,serious,肝损害者减量,一日不超过2g,book#c8,draft
C9,monitoring,nimodipine,,,,,,,,,,,,inr,NOTICE,moderate,不知INR不可续方,先查INR,book#c9,draft
C10,protective,class:nsaids,,780,,,,,,,,,glycerol,,NOTICE,moderate,老年人长期用须加护胃药,加护胃药,book#c10,draft
C11,food_alcohol,metronidazole,,,,,Z72.1,,,,,,,,NEEDS_REASON,serious,饮酒可致双硫仑样反应,停药后1周内不饮酒,book#c11,draft
C12,route,metronidazole,iv,,,,,,,,,,,,NOTICE,moderate,只为测试的途径,缓慢滴注,book#c12,draft
C13,disease,valsartan,,,,,N18,,,,,ibuprofen,,,NEEDS_REASON,serious,肾病者与解热镇痛药合用伤肾,换药,book#c13,draft
",
    ),
    (
        "indications",
        "id,subject,route,icd,name_zh,use,rank,source,status
N1,amoxicillin,,J03|J15|J18,细菌性扁桃体炎、肺炎,label,1,book#n1,draft
N2,amlodipine,,I10,高血压,label,1,book#n2,draft
N3,valsartan,,I10|I50,高血压、心力衰竭,label,1,book#n3,draft
N4,nitrendipine,,I10,高血压,label,2,book#n4,draft
N5,cefixime,,J03|J18,细菌感染,label,2,book#n5,draft
N6,vitamin_c,,*,补充维生素,label,3,book#n6,draft
N7,levofloxacin,,J15|J18|N39,细菌感染,label,2,book#n7,draft
",
    ),
    (
        "lactation_ok",
        "subject,note_zh,source,status
amoxicillin,可用,book#l1,draft
paracetamol,可用,book#l2,draft
",
    ),
    (
        "renal_ok",
        "subject,note_zh,source,status
amlodipine,不必调整,book#r1,draft
",
    ),
    (
        "hepatic_ok",
        "subject,note_zh,source,status
amlodipine,不必调整,book#h1,draft
",
    ),
    (
        "infusion",
        "id,subject,diluents_ok,diluents_bad,conc_min,conc_max,conc_unit,volume_min_ml,volume_max_ml,minutes_min,rate_max,rate_unit,push,action,note_zh,source,status
F1,ceftriaxone,ns|gs5,ringer|lr,,40,mg/ml,,,30,,,no,STOP,用0.9%氯化钠或5%葡萄糖配，不用含钙溶液,book#f1,draft
",
    ),
    (
        "iv_incompatible",
        "id,a,b,action,severity,reason_zh,instead_zh,source,status
V1,ceftriaxone,metronidazole,NEEDS_REASON,serious,混合后浑浊,分开输注,book#v1,draft
",
    ),
    (
        "skin_test",
        "id,subject,need,note_zh,source,status
S1,ceftriaxone,required,用前皮试,book#s1,draft
",
    ),
    (
        "antibiotics",
        "id,subject,route,grade,group,source,status
B1,amoxicillin|cefalexin|ceftriaxone|metronidazole|cefixime|levofloxacin|W006,oral|iv|im,nonrestricted,β-内酰胺类,book#b1,draft
B2,verapamil,oral,restricted,β-内酰胺类,book#b2,draft
B3,itraconazole,oral,special,只为测试,book#b3,draft
",
    ),
    (
        "controlled",
        "id,subject,route,category,note_zh,source,status
K1,chlorpromazine,,psych2,只为测试,book#k1,draft
",
    ),
    (
        "duplicate_classes",
        "id,class,allowed,icd_except,action,severity,reason_zh,instead_zh,source,status
U1,quinolones,1,M06,NOTICE,minor,只为测试,只留一种,book#u1,draft
",
    ),
    (
        "unjustified",
        "id,kind,subject,route,icd_only,action,severity,reason_zh,instead_zh,source,status
J1,antibiotic,class:penicillins|class:cephalosporins,,J00,NEEDS_REASON,moderate,感冒是病毒引起,不用抗菌药,book#j1,draft
",
    ),
    (
        "courses",
        "id,subject,icd,days,reason_zh,source,status
K1,amoxicillin,A38,10,只为测试,book#k1,draft
",
    ),
    (
        "states",
        "state,icd,name_zh,source,status
long_term,I10,高血压,book#t1,draft
kidney_disease,N18,慢性肾脏病,book#t2,draft
liver_disease,K74,肝硬化,book#t3,draft
several_antibiotics,A15,结核,book#t4,draft
cancer_pain,C34,肺癌,book#t5,draft
acute,J00,感冒,book#t6,draft
",
    ),
    (
        "test_names",
        "test,name,source,status
inr,INR,book#e1,draft
",
    ),
    (
        "contents",
        "medicine,ingredient,amount,unit,per,source,status
X002,paracetamol,200,mg,袋,book#o9,draft
",
    ),
    (
        "weight_for_age",
        "age_m,sex,low_kg,median_kg,high_kg,source,status
0,,2,3.3,6,book#w1,draft
12,,6,9.5,16,book#w2,draft
60,,11,18,36,book#w3,draft
216,,30,58,120,book#w4,draft
",
    ),
    (
        "herbs",
        "id,name_zh,aliases,toxicity,dose_min_g,dose_max_g,pregnancy,note_zh,source,status
bupleurum,柴胡,,none,3,10,,,book#y1,draft
realgar,雄黄,,toxic,0.05,0.1,forbid,入丸散,book#y2,draft
",
    ),
    (
        "patent_herbs",
        "medicine,herbs,complete,source,status
T002,bupleurum,no,book#p9,draft
",
    ),
    (
        "tcm_pairs",
        "id,a,b,action,severity,reason_zh,instead_zh,source,status
Q1,bupleurum,realgar,NEEDS_REASON,serious,只为测试的相反,不同用,book#q1,draft
",
    ),
    (
        "diagnosis_terms",
        "term,icd,source,status
高血压,I10,book#z1,draft
感冒,J00,book#z2,draft
扁桃体炎,J03,book#z3,draft
肺炎,J18,book#z4,draft
哮喘,J45,book#z5,draft
慢性肾脏病,N18,book#z6,draft
饮酒,Z72.1,book#z7,draft
冠心病,I25,book#z8,draft
类风湿关节炎,M06,book#z9,draft
肝硬化,K74,book#z10,draft
",
    ),
    (
        "patterns",
        "id,subject,words,kind,action,severity,reason_zh,instead_zh,source,status
G1,T002,风寒|寒证,indication,NOTICE,moderate,和解退热，风寒感冒不宜,换辛温药,book#g1,draft
",
    ),
];

/// The small tables as files.
pub(super) fn files() -> Files {
    let mut files = Files::new();
    for (name, text) in TABLES {
        files.insert(format!("prescription/{name}.csv"), text.as_bytes());
    }
    files
}

/// The small tables with one text replaced in one of them.
pub(super) fn files_with(table: &str, from: &str, to: &str) -> Files {
    let mut files = files();
    let (_, text) = TABLES.iter().find(|(name, _)| *name == table).unwrap();
    assert!(text.contains(from), "{from} is not in {table}");
    files.insert(format!("prescription/{table}.csv"), text.replacen(from, to, 1).into_bytes());
    files
}

pub(super) fn knowledge() -> PrescriptionKnowledge {
    PrescriptionKnowledge::load(&files()).unwrap()
}

/// An order of these names; `name@route` gives a route. Each line has three days.
pub(super) fn order(names: &[&str]) -> Order {
    let line = |(at, name): (usize, &&str)| {
        let (name, route) = name.split_once('@').unwrap_or((name, ""));
        Line {
            id: (at + 1).to_string(),
            name: name.to_owned(),
            route: route.to_owned(),
            days: Some(3.0),
            ..Line::default()
        }
    };
    Order {
        lines: names.iter().enumerate().map(line).collect(),
        // A diagnosis nobody knows: that one is there, and that nothing follows from it.
        diagnoses: vec!["某病".to_owned()],
        ..Order::default()
    }
}

pub(super) fn with_current(names: &[&str], current: &[&str]) -> Order {
    let current = current.iter().map(|name| (*name).to_owned()).collect();
    Order { current, ..order(names) }
}

pub(super) fn with_allergy(names: &[&str], allergy: &str) -> Order {
    let entry = AllergyEntry { name: allergy.to_owned(), ..AllergyEntry::default() };
    Order { allergies: vec![entry], ..order(names) }
}

/// Kind, action and lines of each finding.
pub(super) fn short(report: &Report) -> Vec<(Kind, Action, Vec<&str>)> {
    let findings = report.findings.iter();
    findings.map(|f| (f.kind, f.action, f.lines.iter().map(String::as_str).collect())).collect()
}

pub(super) fn full(order: &Order) -> Report {
    assert_eq!(order.problems(), vec![]);
    knowledge().check(order)
}

/// As [`full`], without what these orders, which give no dose, would always be told: that doses
/// were not checked, and what is listed on request about the institution.
pub(super) fn check(order: &Order) -> Report {
    let mut report = full(order);
    report
        .unchecked
        .retain(|u| u.what != [Kind::SingleDose, Kind::DailyDose] && u.what != [Kind::Indication]);
    report.findings.retain(|f| (f.kind, f.action) != (Kind::LegalForm, Action::OnRequest));
    report
}

/// The one finding of an order.
pub(super) fn only(order: &Order) -> Finding {
    let report = check(order);
    assert_eq!(report.findings.len(), 1, "{:#?}", report.findings);
    report.findings[0].clone()
}

/// An order without findings.
pub(super) fn silent(order: &Order) {
    let report = check(order);
    assert_eq!(short(&report), vec![]);
}

/// The actions of the findings of one kind, in the order of the report.
pub(super) fn actions(order: &Order, kind: Kind) -> Vec<Action> {
    let report = check(order);
    report.findings.iter().filter(|f| f.kind == kind).map(|f| f.action).collect()
}
